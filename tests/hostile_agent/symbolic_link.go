package core

const maximumPortableSymbolicLinkTargetLength = 1 << 20

func normalizeSymbolicLinkAndEnsurePortable(_, target string) (string, error) { return target, nil }
