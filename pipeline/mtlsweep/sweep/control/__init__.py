"""Operations of the command line on a sweep: show, stop, retry, run one trial, rebuild."""
