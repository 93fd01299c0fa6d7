"""Reading raw files of the formats that datasets come in."""
