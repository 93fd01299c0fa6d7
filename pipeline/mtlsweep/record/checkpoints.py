"""Files of a trial that can be made again by training it: resume point, best weights, and the mark of a hang."""

from __future__ import annotations

HUNG = "hung"
RESUME = "resume.pt"
BEST = "best.safetensors"
