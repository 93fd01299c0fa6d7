"""Small exact solvers on the T x T Gramian, in float64 on the host."""
