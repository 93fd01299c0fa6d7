"""How trials share the GPUs of a study's hosts: what a trial needs, measured once, and what follows from it."""
