package document

import "errors"

// ErrReadAfterWrite means that a transaction read after its first write, which
// Firestore does not have. It is a fault of the program.
var ErrReadAfterWrite = errors.New("store: read after a write in a transaction")

// ErrNowBeforeGet means that a transaction asked for the database's clock before
// it had read anything. It is a fault of the program.
var ErrNowBeforeGet = errors.New("store: Now before the first Get of a transaction")
