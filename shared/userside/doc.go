// Package userside is the client of the UserSide ERP's API (shared/userside/README.md): it asks,
// reads every spelling that the ERP's versions are known to use, and gives the domain
// types of calendarsync. What it has learned of how the ERP spells roles is kept in the
// store (rule 4.16).
//
// A reading of this package decides what is deleted in people's calendars, so it
// must never turn a failed, cut or untrustworthy answer into "there is nothing":
// a call gives either a reading for each id that was asked or an error
// (rules 4.1 and 4.2). It must never put the API key, a URL, a reply's body
// or a person's data into an error (rule 10.2), never repeat a write, never follow a
// redirect and never send employee_id with show, which would write "viewed" into
// the task's history. It logs nothing.
//
// JSON null says nothing (as if the key were missing), with one exception that
// shared/userside/README.md documents: date.todo, where null means "no date".
package userside
