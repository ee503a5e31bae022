// Package google is a stand-in of Google for tests, the simulation and the local
// run: OpenID Connect sign-in, OAuth 2.0 grants and the part of Calendar API v3
// that erp-calendar uses, behaving as shared/googlecalendar/README.md describes, with a page
// on which a person sees the calendars and can play the account's owner.
//
// It must never be reachable from outside a test or a developer's machine: it
// signs anybody in. It must never know anything about erp-calendar: what it does
// comes from Google's documentation, its discovery document and reported
// behaviour, so that a mistake of the product cannot hide in it.
//
// # Mounting
//
// [Server] is a plain [net/http.Handler]; it starts no goroutine and no listener.
// Mount it with the path of Options.BaseURL stripped
// (http.StripPrefix("/google", server)). The issuer is BaseURL, the Calendar
// endpoint BaseURL + "/calendar/v3/". [Server.Transport] and [Server.Client]
// answer in the caller's goroutine with no network at all, which is what a
// testing/synctest bubble wants. All time comes from Options.Now; waits are
// timers bounded by the request's context.
//
// # Signing in without a browser
//
// Four ways, from the most faithful to the shortest: POST the consent form
// (the fields of the authorization request plus account=<e-mail>,
// grant=<scope> for each scope left ticked, decision=allow or deny);
// [Server.Approve] and [Server.Deny], which take the authorization URL and give
// the callback URL; Options.AutoApprove, with which the authorization endpoint
// consents at once for the account in login_hint (or the first account);
// [Server.Token] and [Server.RefreshToken], which mint tokens directly.
//
// # Where Google's behaviour is unknown
//
// The stricter or more awkward one was chosen, since code that copes with it
// copes with the other: a PUT without sequence counts as sequence 0; a PUT on a
// cancelled event that does not say status=confirmed leaves it cancelled; every
// successful write gives a new ETag, also one that changes nothing; an event
// must end after it starts, not at the same moment; a field or a query parameter
// that the discovery document does not know is refused with 400. Recurring
// events are not supported: 501.
//
// Where it decides whether a client works at all, each answer can be played:
// Options.Ways has a field for each question, [Spell] what befalls Google for a while
// (404 for calendars that exist, the API switched off, an OAuth client deleted), and
// [Draw] a Google at random. [Server.Met] counts how often each way showed.
package google
