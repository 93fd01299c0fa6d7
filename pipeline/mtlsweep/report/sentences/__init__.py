"""The sentences of the answer, a file for each kind of statement; `mtlsweep.report.answer` puts them in order."""
