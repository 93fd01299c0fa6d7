"""`mtlsweep watch`: a live view of the sweeps, on loopback or in a file."""
