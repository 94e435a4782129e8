package ignore

// IgnoreVCS does not.
func IgnoreVCS(ignorer Ignorer) Ignorer { return ignorer }
