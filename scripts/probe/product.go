package main

// question is one thing that nobody has proved about Google.
type question struct {
	// id is stable; row is that of the list of unproved questions, G1 to G16.
	id, row string
	// asks is the question, in words.
	asks string
	// standIn is the answer that shared/fake/google gives as long as no way is set.
	standIn string
	// answers are those that somebody thought of. With any other the product is taken to
	// be wrong, unless others says that it is right with those too.
	answers map[string]effect
	others  bool
}

// effect is what the product makes of an answer: either does, where it is right with it
// and there is something to say of that, or harm, which is what it does wrong.
type effect struct{ does, harm string }

// Answers that several questions share.
const (
	noneMet = "none met"
	asSent  = "as sent"
	// loweredView: the reader sees what the lowered role of the share says.
	loweredView = "busy only, as the share's answer says"
	dailyLimit  = "dailyLimitExceeded"
)

// lostMark is what the product does where the answers lack a mark.
const lostMark = "no second calendar is made, nothing is doubled, and one alarm says so, until the mark comes back (rule 3.14)"

// questions are all of them, in the order of the report. What the product is right
// with stands here and nowhere else: whoever mends the product takes out the harm.
func questions() []question {
	return []question{
		{id: "not-found", row: "G1", asks: "Does Google answer 404 for what exists?", standIn: noneMet, answers: map[string]effect{
			noneMet: {},
			"met":   {does: "what is not found counts as gone only after a second look, ABSENCE_SECONDS later (rule 3.9)"},
		}},
		{id: "stale-row", row: "G2", asks: "Does the list of calendars drop a deleted calendar?", standIn: "dropped at once", answers: map[string]effect{
			"dropped at once":     {},
			"dropped later":       {},
			"not within the time": {harm: "connecting anew to an account all of whose calendars were deleted is refused while their rows stay, if the database is empty"},
		}},
		{id: "zone-taken", row: "G3", asks: "Is the name of the time zone taken?", standIn: "taken", answers: map[string]effect{
			"taken":                  {},
			"refused":                {does: "the zone is sent by its other name, which is remembered (rule 2.9)"},
			"refused by every name":  {does: "nothing is written, and one alarm says why: choose another time zone in the settings (rules 2.9 and 7.7)"},
			"refused in other words": {harm: "the refusal is taken for one of each calendar and event: none is written, and the zone's other name is not tried"},
		}},
		{id: "zone-of-calendars", row: "G3", asks: "Is the time zone of a calendar given back as sent?", standIn: asSent, answers: map[string]effect{
			asSent:    {},
			"renamed": {does: "zones are compared by their rules (rule 2.8)"},
		}},
		{id: "zone-of-events", row: "G3", asks: "Is the time zone of an event given back as sent?", standIn: asSent, answers: map[string]effect{
			asSent:    {},
			"renamed": {does: "zones are compared by their rules (rule 2.8)"},
		}},
		{id: "texts-of-events", row: "G4", asks: "Are title and place read later as the write's own answer gave them?", standIn: "as answered", answers: map[string]effect{
			"as answered":             {},
			"otherwise than answered": {does: "such an event is written anew and reported once after a change of it; then this is Google's form of it (rule 2.8)"},
		}},
		{id: "name-of-calendars", row: "G4", asks: "Is the name of a calendar read as it was sent, but for blanks at its ends?", standIn: asSent, answers: map[string]effect{
			asSent:   {},
			"folded": {does: "where the answer to the write has it already, nothing; else such a calendar is renamed and reported once, and then this is Google's form of its name (rule 2.8)"},
		}},
		{id: "mark", row: "G5", asks: "Is the mark found in the description that comes back?", standIn: "found", answers: map[string]effect{
			"found":           {},
			"lost in answers": {does: lostMark},
			"lost everywhere": {does: lostMark},
			"lost in lists":   {harm: "after a lost database no calendar is found: each is made a second time, and nobody is asked"},
		}},
		{id: "share", row: "G6", asks: "What becomes of a share with an address outside the domain?", standIn: "as asked", answers: map[string]effect{
			"as asked": {},
			"refused":  {does: "the employee's state is an error that says so"},
			"lowered":  {does: "the employee's state is an error that names the setting of the Workspace, and the role is not raised (rule 5.7)"},
		}},
		{id: "readers-view", row: "G6", asks: "What does the reader outside the domain see?", standIn: "details", answers: map[string]effect{
			"details":   {},
			loweredView: {},
			"busy only": {harm: "the calendar is shown as working though its reader sees no more than busy times; only beforehand it is said whose address is outside the domain (rule 5.7)"},
			"nothing":   {harm: "the calendar is shown as working though its reader cannot open it"},
		}},
		{id: "default-rules", row: "G7", asks: "Do new calendars carry rules that nobody asked for?", standIn: "none", answers: map[string]effect{
			"none":         {},
			"some":         {does: "rules for a domain or for everybody that a calendar was born with are left alone and not reported (rule 5.3)"},
			"for somebody": {harm: "each night reports every calendar as shared by somebody"},
		}},
		{id: "address", row: "G8", asks: "Is the address of a share given back as sent?", standIn: asSent, answers: map[string]effect{
			asSent:      {},
			"respelled": {does: "dots of Gmail and googlemail.com do not count (rule 5.1)"},
			"group":     {does: "a group is taken for the address that was shared with (rule 5.3)"},
			"another":   {harm: "after a lost database the share is not known again: people are invited once more"},
		}},
		{id: "invitation", row: "G8", asks: "Is a share listed before it is accepted?", standIn: "listed", answers: map[string]effect{
			"listed": {},
			"hidden": {harm: "after a lost database people are invited once more, and a share widened before it was accepted stays so"},
		}},
		{id: "unshare", row: "G8", asks: "Can a share be removed by the id in its answer?", standIn: "removed", answers: map[string]effect{
			"removed":     {},
			"not removed": {harm: "a former address keeps reading, and the product takes it for removed"},
		}},
		{id: "creation", row: "G9", asks: "Does the account create and share now?", standIn: "yes", answers: map[string]effect{
			"yes":           {},
			"quotaExceeded": {does: "creating pauses, resumes by itself, and keeps to fewer a day (rules 6.5 and 6.6)"},
		}},
		{id: "account", row: "G10", asks: "Does something keep the whole account out?", standIn: noneMet, answers: map[string]effect{
			noneMet:    {},
			dailyLimit: {does: "writing pauses, and resumes by itself, after midnight Pacific time at the latest (rule 6.6)"},
		}, others: true},
		{id: "precondition", row: "G11", asks: "Does 412 come without a change?", standIn: noneMet, answers: map[string]effect{
			noneMet: {},
			"met":   {does: "the event is read again, and written with the ETag that it has then"},
		}},
		{id: "cancelled", row: "G12", asks: "What is left of a cancelled event?", standIn: "its fields", answers: map[string]effect{
			"its fields": {},
			"its id":     {},
			"nothing":    {},
		}},
		{id: "revival", row: "G12", asks: "Can a cancelled event be written again under its id?", standIn: "yes", answers: map[string]effect{
			"yes":               {},
			"refused":           {},
			"refused otherwise": {harm: "a task that comes back gets no event again"},
		}},
		{id: "reach", row: "G13", asks: "Are calendars of an earlier consent within reach?", standIn: "yes", answers: map[string]effect{
			"yes": {},
			"no":  {harm: "an admin has to have each calendar made anew; after a lost database connecting is refused, and the page blames another OAuth client"},
		}},
		{id: "length", row: "G14", asks: "Are the longest texts that the product writes taken whole, in characters of two UTF-16 units?", standIn: "yes", answers: map[string]effect{
			"yes":     {},
			"refused": {harm: "tasks with very long texts get no event"},
			"cut":     {harm: "the end of very long texts is missing, and with it the link to the task"},
		}},
		{id: "listed", row: "G15", asks: "How soon is a new calendar listed?", standIn: "at once", answers: map[string]effect{
			"at once":             {},
			"soon":                {},
			"late":                {harm: "a calendar made shortly before the database was lost is made a second time"},
			"not within the time": {harm: "a calendar whose creation was answered by nothing is made a second time"},
		}},
		{id: "rules", row: "G16", asks: "Are rules listed of calendars that another client made, and of deleted ones not?", standIn: "told apart", answers: map[string]effect{
			"told apart":          {},
			"of others denied":    {does: "with an empty database, connecting to an account all of whose marked calendars are denied is refused, be they another client's or deleted, with how to remove them (rule 3.7)"},
			"of deleted listed":   {harm: "a calendar deleted by hand is taken for one out of reach: only an admin has another made (rule 3.9); with an empty database, connecting is refused while its row stays"},
			"the wrong way round": {harm: "a calendar deleted by hand is taken for one out of reach: only an admin has another made (rule 3.9); with an empty database, connecting is refused while its row stays"},
		}},
	}
}

// soonEnough is how long after a creation whose answer was lost the product still
// looks for the calendar: INTENT_SECONDS and a fifth more.
const soonEnough = 12 * 60 // seconds
