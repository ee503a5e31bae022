package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// surroundings are what the doctor reaches the world by.
type surroundings struct {
	lookup    func(string) (string, bool)
	transport http.RoundTripper
	now       func() time.Time
	terminal  bool
	database  func(ctx context.Context, cfg config.Store) (store.Backend, error)
	topics    func(ctx context.Context, project string) (topicReader, error)
	cipher    func(ctx context.Context, cfg config.TokenKey) (seal.Cipher, error)
}

// topicReader reads topics without publishing; queue/pubsub's Publisher is one.
type topicReader interface {
	TopicExists(ctx context.Context, name string) error
	Close() error
}

// doctor carries what one check finds to those that need it. A field is written by
// one check only, and read by checks that wait for that one.
type doctor struct {
	surroundings
	// Subject has the checks that the console makes, too, and what they found.
	*checkup.Subject
	env struct {
		store    config.Store
		erp      config.ERP
		client   config.OAuthClient
		sites    config.Sites
		admins   config.Admins
		token    config.TokenKey
		topics   config.Topics
		budget   config.Budget
		google   config.Google
		defaults config.DefaultSettings
	}

	backend store.Backend
	state   *store.Store
	sealer  seal.Cipher

	redirectURI string
	provider    provider
	grants      *grant.Source

	mu     sync.Mutex
	closes []func() error
}

func newDoctor(with surroundings, texts i18n.Texts) *doctor {
	d := &doctor{surroundings: with}
	d.Subject = &checkup.Subject{
		Texts: texts, Now: with.now,
		Connect: func(inForm bool) (checkup.ERP, error) {
			cfg := d.env.erp
			cfg.KeyInQuery = cfg.KeyInQuery && !inForm
			return cloud.ERP(cfg, d.transport, d.now)
		},
		ERPURL: func() string { return d.env.erp.URL }, KeyInQuery: func() bool { return d.env.erp.KeyInQuery },
		Saved:    d.saved,
		Accounts: func() checkup.Account { return d.state },
		Expected: func() string { return d.env.admins.IntegrationAccount }, Client: func() string { return d.env.client.ID },
		Console: func() string { return d.env.sites.ConsoleURL }, RedirectURI: func() string { return d.redirectURI },
	}
	return d
}

// saved reads the settings; recorded is false where the store cannot be read, and those of
// DEFAULT_SETTINGS are given.
func (d *doctor) saved(ctx context.Context) (saved settings.Saved, recorded bool, err error) {
	var from settings.Store = noneSaved{}
	if d.state != nil {
		from = d.state
	}
	saved, err = settings.NewSource(from, d.env.defaults.JSON, d.env.erp.URL, d.now).Saved(ctx)
	return saved, d.state != nil, err
}

// noneSaved stands for a store that cannot be read.
type noneSaved struct{}

func (noneSaved) SavedSettings(context.Context) (store.SettingsRecord, bool, error) {
	return store.SettingsRecord{}, false, nil
}

func (noneSaved) ApplySettings(context.Context, store.SettingsRecord, int64) error {
	return errReadOnly
}

// closeLater ends a client when the examination is over.
func (d *doctor) closeLater(f func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closes = append(d.closes, f)
}

func (d *doctor) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range slices.Backward(d.closes) {
		_ = f() // the findings are there; a connection that does not end well changes none
	}
}

// The groups of the checks that only the doctor makes.
const (
	groupEnvironment = "Environment"
	groupOAuth       = "Google sign-in"
	groupCloud       = "Google Cloud project"
)

// checks lists everything that is examined. What a check waits for stands before
// it in the list of dependencies, not necessarily on the page: the report keeps
// this order.
func (d *doctor) checks() []check {
	given, erp, people := d.SettingsChecks(), d.ERPChecks(), d.EmployeeChecks()
	given[0].Needs, given[0].After = []string{"env.defaults"}, []string{"env.erp", "cloud.firestore"}
	erp[0].Needs = []string{"env.erp"}
	people[len(people)-1].After = []string{"env.admins"}
	return slices.Concat(d.environmentChecks(), d.cloudChecks(), given, erp, people, d.oauthChecks(), d.accountChecks())
}

func itoa[T ~int | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }
