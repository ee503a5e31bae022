package bolt

import "time"

// LockTimeout is how long Open waits for another process to let go of the file.
func LockTimeout(d time.Duration) Option { return func(o *options) { o.lockTimeout = d } }
