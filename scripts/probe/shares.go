package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// shares shares the scratch calendar with the second address, as the product does,
// and takes it back.
func (p *probe) shares(ctx context.Context) error {
	if p.share == "" {
		for _, id := range []string{"share", "readers-view", "address", "invitation", "unshare"} {
			p.cannot(id, "give a second address: -share somebody@example.com")
		}
		return nil
	}
	made, err := p.insertRule(ctx)
	if said, is := errors.AsType[*apiError](err); is && said.status == http.StatusForbidden && said.reason != "quotaExceeded" {
		for _, id := range []string{"readers-view", "address", "invitation", "unshare"} {
			p.cannot(id, "the share was refused")
		}
		p.judgeRole("refused", said.Error())
		return nil
	}
	if err != nil {
		return err
	}
	p.scratch.rule = text(made, "id")
	role := "as asked"
	if text(made, "role") != "reader" {
		role = "lowered"
	}
	p.judgeRole(role, "reader was asked for, the answer says "+text(made, "role"))
	p.judgeAddress(made)
	listed, err := p.listedRule(ctx)
	if err != nil {
		return err
	}
	if listed {
		p.answer("invitation", "listed", "acl.list names it before anybody accepted")
	} else {
		p.answer("invitation", "hidden", "acl.list does not name it")
	}
	if err := p.lookAsReader(ctx); err != nil {
		return err
	}
	return p.unshare(ctx)
}

func (p *probe) insertRule(ctx context.Context) (object, error) {
	for attempt := 1; ; attempt++ {
		made, err := p.existing(ctx, request{method: http.MethodPost, path: parts("calendars", p.scratch.id, "acl"),
			query: url.Values{"sendNotifications": {"true"}}, body: object{"role": "reader", "scope": object{"type": "user", "value": p.share}}})
		said, is := errors.AsType[*apiError](err)
		// A calendar made a moment ago may not know its owner yet.
		if !is || said.reason != "requiredAccessLevel" || attempt == 4 {
			return made, err
		}
		if err := p.pause(ctx, 3*time.Second); err != nil {
			return nil, err
		}
	}
}

// outside reports whether the second address is of another domain than the account.
func (p *probe) outside() bool {
	_, theirs, _ := strings.Cut(p.share, "@")
	_, ours, _ := strings.Cut(p.account, "@")
	return !strings.EqualFold(theirs, ours)
}

func (p *probe) judgeRole(word, detail string) {
	if p.outside() {
		p.answer("share", word, "%s", detail)
		return
	}
	p.cannot("share", "the second address is of the account's own domain (%s: %s); give one outside", word, detail)
}

func (p *probe) judgeAddress(rule object) {
	scope := inner(rule, "scope")
	kind, value := text(scope, "type"), text(scope, "value")
	switch {
	case calendarsync.NormalAddress(value) != calendarsync.NormalAddress(p.share):
		p.answer("address", "another", "the answer has another address than was sent, case and Gmail's dots apart")
	case kind == "group":
		p.answer("address", "group", "sent as user, answered as group")
	case !strings.EqualFold(value, p.share) || !strings.EqualFold(text(rule, "id"), "user:"+p.share):
		p.answer("address", "respelled", "the answer spells the address otherwise than it was sent, case apart")
	default:
		p.answer("address", asSent, "%s", p.addressTold())
	}
}

// addressTold says what an address that came back as sent proves.
func (p *probe) addressTold() string {
	local, domain, _ := strings.Cut(strings.ToLower(p.share), "@")
	if domain == "googlemail.com" || domain == "gmail.com" && strings.Contains(local, ".") {
		return "an address of Gmail with dots, or of googlemail.com"
	}
	return "but for case; this says nothing of dots in addresses of Gmail, nor of groups"
}

func (p *probe) listedRule(ctx context.Context) (bool, error) {
	rules, err := p.existing(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id, "acl")})
	if err != nil {
		return false, err
	}
	for _, r := range items(rules) {
		if strings.EqualFold(text(r, "id"), p.scratch.rule) && text(r, "role") != "none" {
			return true, nil
		}
	}
	return false, nil
}

// lookAsReader reads the scratch calendar as the second address.
func (p *probe) lookAsReader(ctx context.Context) error {
	switch {
	case !p.outside():
		p.cannot("readers-view", "the second address is of the account's own domain")
		return nil
	case p.reader == nil:
		p.cannot("readers-view", "with -reader the second address is asked to consent, and its own view is read")
		return nil
	}
	reader, done, err := p.reader(ctx)
	if err != nil {
		p.fails(err, "readers-view")
		p.finding("readers-view").Product = failed
		p.finding("readers-view").Detail = err.Error()
		return nil
	}
	defer func() {
		if err := done(context.WithoutCancel(ctx)); err != nil {
			p.say("the second address's consent could not be taken back: %v", err)
		}
	}()
	list, err := reader.do(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id, "events")})
	p.google.calls += reader.calls
	said, is := errors.AsType[*apiError](err)
	switch {
	case is && (said.status == http.StatusNotFound || said.status == http.StatusForbidden):
		p.answer("readers-view", "nothing", "%s", said)
	case err != nil:
		p.finding("readers-view").Product, p.finding("readers-view").Detail = failed, err.Error()
	default:
		p.judgeView(list)
	}
	return nil
}

func (p *probe) judgeView(list object) {
	for _, e := range items(list) {
		if text(e, "summary") != "" {
			p.answer("readers-view", "details", "titles are shown, as %s", text(list, "accessRole"))
			return
		}
	}
	word := "busy only"
	if p.finding("share").Answer == "lowered" {
		word = loweredView
	}
	p.answer("readers-view", word, "no title is shown, as %s", text(list, "accessRole"))
}

// unshare removes the share by the id that its answer had.
func (p *probe) unshare(ctx context.Context) error {
	_, err := p.existing(ctx, request{method: http.MethodDelete, path: parts("calendars", p.scratch.id, "acl", p.scratch.rule)})
	if said, is := errors.AsType[*apiError](err); is && said.status < 500 && said.reason != "quotaExceeded" {
		p.answer("unshare", "not removed", "acl.delete: %s", said)
		return nil
	}
	if err != nil {
		return err
	}
	listed, err := p.listedRule(ctx)
	if err != nil {
		return err
	}
	if listed {
		p.answer("unshare", "not removed", "acl.list still names it")
	} else {
		p.answer("unshare", "removed", "acl.list does not name it any more")
	}
	return nil
}
