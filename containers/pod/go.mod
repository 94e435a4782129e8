module paude/pod

go 1.24

require (
	github.com/klauspost/compress v1.17.11
	golang.org/x/sys v0.33.0
)
