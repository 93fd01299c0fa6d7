"""One thin script per DVC stage: read params, call one function of `pipeline`, which writes the declared outs."""
