"""One thin script per DVC stage: read params and call one function of `mtlsweep`, which writes the outs."""
