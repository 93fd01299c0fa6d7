"""One thin script per DVC stage: read params, call one function of `mtlsweep`, which writes the declared outs."""
