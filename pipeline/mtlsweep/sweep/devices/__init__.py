"""How trials share the GPUs of a study's hosts: what a trial needs, measured once, and where trials then run."""
