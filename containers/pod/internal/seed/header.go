package seed

import (
	"archive/tar"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"time"
)

// Only the executable bit travels; the rest is the umask's.
func mode(header *tar.Header) uint32 {
	if header.Mode&0o100 != 0 {
		return 0o777
	}
	return 0o666
}

// changed is the time of change: a ustar header has whole seconds, and the laptop says the nanoseconds in its field uname.
// A pax header's own go before; a field that says none is another tar's.
func changed(header *tar.Header) time.Time {
	nanoseconds, err := strconv.ParseUint(header.Uname, 10, 32)
	if err != nil || nanoseconds >= uint64(time.Second) || header.ModTime.Nanosecond() != 0 {
		return header.ModTime
	}
	return header.ModTime.Add(time.Duration(nanoseconds))
}

// digest is the SHA-1 of the content that the laptop names in the field gname, nil where it names none. Who could tell a
// wrong one here can as well send other content.
func digest(header *tar.Header) []byte {
	sum, err := base64.RawStdEncoding.Strict().DecodeString(header.Gname)
	if err != nil || len(sum) != sha1.Size {
		return nil
	}
	return sum
}
