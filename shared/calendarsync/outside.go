package calendarsync

import "strings"

// OutsideOf gives the domain of the central account if an address is outside it, "" otherwise:
// its Workspace may let whoever is outside see busy times only, whatever the share says
// (rule 5.7). An account at Gmail has no Workspace. A domain that the Workspace has besides cannot be
// known from the address.
func OutsideOf(account, address string) string {
	_, domain, _ := strings.Cut(NormalAddress(account), "@")
	_, theirs, there := strings.Cut(NormalAddress(address), "@")
	if domain == "gmail.com" || !there || theirs == domain {
		return ""
	}
	return domain
}
