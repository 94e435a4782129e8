package children

import "time"

// Output that was written before a command ended is in the pipe already.
func soon() time.Time { return time.Now().Add(20 * time.Millisecond) }
