package main

// question is one thing that nobody has proved about Google.
type question struct {
	// id is stable; row is that of the list of unproved questions, G1 to G15.
	id, row string
	// asks is the question, in words.
	asks string
	// standIn is the answer that shared/fake/google gives as long as no way is set.
	standIn string
	// harm says, for each answer that Google may give, what the product does wrong
	// with it; "" is nothing. An answer that is not here was not thought of, and the
	// product is taken to be wrong with it.
	harm map[string]string
	// others tells that the product is right with every answer that is not there.
	others bool
	// does says, for answers with which the product is right, what it does about them.
	does map[string]string
}

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
		{id: "not-found", row: "G1", asks: "Does Google answer 404 for what exists?", standIn: noneMet, harm: map[string]string{
			noneMet: "", "met": "",
		}, does: map[string]string{
			"met": "what is not found counts as gone only after a second look, ABSENCE_SECONDS later (rule 3.9)",
		}},
		{id: "stale-row", row: "G2", asks: "Does the list of calendars drop a deleted calendar?", standIn: "dropped at once", harm: map[string]string{
			"dropped at once":     "",
			"dropped later":       "",
			"not within the time": "connecting anew to an account all of whose calendars were deleted is refused while their rows stay, if the database is empty",
		}},
		{id: "zone-taken", row: "G3", asks: "Is the name of the time zone taken?", standIn: "taken", harm: map[string]string{
			"taken": "", "refused": "", "refused by every name": "",
			"refused in other words": "the refusal is taken for one of each calendar and event: none is written, and the zone's other name is not tried",
		}, does: map[string]string{
			"refused":               "the zone is sent by its other name, which is remembered (rule 2.9)",
			"refused by every name": "nothing is written, and one alarm says why: choose another time zone in the settings (rules 2.9 and 7.7)",
		}},
		{id: "zone-of-calendars", row: "G3", asks: "Is the time zone of a calendar given back as sent?", standIn: asSent, harm: map[string]string{
			asSent: "", "renamed": "",
		}, does: map[string]string{
			"renamed": "zones are compared by their rules (rule 2.8)",
		}},
		{id: "zone-of-events", row: "G3", asks: "Is the time zone of an event given back as sent?", standIn: asSent, harm: map[string]string{
			asSent: "", "renamed": "",
		}, does: map[string]string{
			"renamed": "zones are compared by their rules (rule 2.8)",
		}},
		{id: "texts-of-events", row: "G4", asks: "Are title and place read later as the write's own answer gave them?", standIn: "as answered", harm: map[string]string{
			"as answered": "", "otherwise than answered": "",
		}, does: map[string]string{
			"otherwise than answered": "such an event is written anew and reported once after a change of it; then this is Google's form of it (rule 2.8)",
		}},
		{id: "name-of-calendars", row: "G4", asks: "Is the name of a calendar read as it was sent, but for blanks at its ends?", standIn: asSent, harm: map[string]string{
			asSent: "", "folded": "",
		}, does: map[string]string{
			"folded": "where the answer to the write has it already, nothing; else such a calendar is renamed and reported once, and then this is Google's form of its name (rule 2.8)",
		}},
		{id: "mark", row: "G5", asks: "Is the mark found in the description that comes back?", standIn: "found", harm: map[string]string{
			"found": "", "lost in answers": "", "lost everywhere": "",
			"lost in lists": "after a lost database no calendar is found: each is made a second time, and nobody is asked",
		}, does: map[string]string{
			"lost in answers": lostMark, "lost everywhere": lostMark,
		}},
		{id: "share", row: "G6", asks: "What becomes of a share with an address outside the domain?", standIn: "as asked", harm: map[string]string{
			"as asked": "", "refused": "", "lowered": "",
		}, does: map[string]string{
			"refused": "the employee's state is an error that says so",
			"lowered": "the employee's state is an error that names the setting of the Workspace, and the role is not raised (rule 5.7)",
		}},
		{id: "readers-view", row: "G6", asks: "What does the reader outside the domain see?", standIn: "details", harm: map[string]string{
			"details": "", loweredView: "",
			"busy only": "the calendar is shown as working though its reader sees no more than busy times",
			"nothing":   "the calendar is shown as working though its reader cannot open it",
		}},
		{id: "default-rules", row: "G7", asks: "Do new calendars carry rules that nobody asked for?", standIn: "none", harm: map[string]string{
			"none": "", "some": "",
			"for somebody": "each night reports every calendar as shared by somebody",
		}, does: map[string]string{
			"some": "rules for a domain or for everybody that a calendar was born with are left alone and not reported (rule 5.3)",
		}},
		{id: "address", row: "G8", asks: "Is the address of a share given back as sent?", standIn: asSent, harm: map[string]string{
			asSent: "", "respelled": "", "group": "",
			"another": "after a lost database the share is not known again: people are invited once more",
		}, does: map[string]string{
			"respelled": "dots of Gmail and googlemail.com do not count (rule 5.1)",
			"group":     "a group is taken for the address that was shared with (rule 5.3)",
		}},
		{id: "invitation", row: "G8", asks: "Is a share listed before it is accepted?", standIn: "listed", harm: map[string]string{
			"listed": "",
			"hidden": "after a lost database people are invited once more, and a share widened before it was accepted stays so",
		}},
		{id: "unshare", row: "G8", asks: "Can a share be removed by the id in its answer?", standIn: "removed", harm: map[string]string{
			"removed":     "",
			"not removed": "a former address keeps reading, and the product takes it for removed",
		}},
		{id: "creation", row: "G9", asks: "Does the account create and share now?", standIn: "yes", harm: map[string]string{
			"yes": "", "quotaExceeded": "",
		}, does: map[string]string{
			"quotaExceeded": "creating pauses, resumes by itself, and keeps to fewer a day (rules 6.5 and 6.6)",
		}},
		{id: "account", row: "G10", asks: "Does something keep the whole account out?", standIn: noneMet, harm: map[string]string{
			noneMet: "",
		}, others: true, does: map[string]string{
			dailyLimit: "writing pauses, and resumes by itself, after midnight Pacific time at the latest (rule 6.6)",
		}},
		{id: "precondition", row: "G11", asks: "Does 412 come without a change?", standIn: noneMet, harm: map[string]string{
			noneMet: "", "met": "",
		}, does: map[string]string{
			"met": "the event is read again, and written with the ETag that it has then",
		}},
		{id: "cancelled", row: "G12", asks: "What is left of a cancelled event?", standIn: "its fields", harm: map[string]string{
			"its fields": "", "its id": "", "nothing": "",
		}},
		{id: "revival", row: "G12", asks: "Can a cancelled event be written again under its id?", standIn: "yes", harm: map[string]string{
			"yes": "", "refused": "",
			"refused otherwise": "a task that comes back gets no event again",
		}},
		{id: "reach", row: "G13", asks: "Are calendars of an earlier consent within reach?", standIn: "yes", harm: map[string]string{
			"yes": "",
			"no":  "connecting is refused, and the page blames another OAuth client",
		}},
		{id: "length", row: "G14", asks: "Are the longest texts that the product writes taken whole, in characters of two UTF-16 units?", standIn: "yes", harm: map[string]string{
			"yes":     "",
			"refused": "tasks with very long texts get no event",
			"cut":     "the end of very long texts is missing, and with it the link to the task",
		}},
		{id: "listed", row: "G15", asks: "How soon is a new calendar listed?", standIn: "at once", harm: map[string]string{
			"at once":             "",
			"soon":                "",
			"late":                "a calendar made shortly before the database was lost is made a second time",
			"not within the time": "a calendar whose creation was answered by nothing is made a second time",
		}},
	}
}

// soonEnough is how long after a creation whose answer was lost the product still
// looks for the calendar: INTENT_SECONDS and a fifth more.
const soonEnough = 12 * 60 // seconds
