package store

import (
	"context"
	"time"
)

// InstallationRecord is the one document that names the tenant and its account.
type InstallationRecord struct {
	// Tenant is the UUID in every mark (rule 3.1); empty until the first
	// calendar list after a connection has shown whether marks exist already.
	Tenant  string `firestore:"tenant,omitempty" json:"tenant,omitempty"`
	Account string `firestore:"account,omitempty" json:"account,omitempty"`
	// Purge is the latest purge. It stands here because every pass over an employee
	// reads this record, always as it is now.
	Purge *PurgeRecord `firestore:"purge,omitempty" json:"purge,omitempty"`
}

func installationRef() Ref { return Ref{Installation, "current"} }

// Installation reads the installation's record; missing is the zero value.
func (s *Store) Installation(ctx context.Context) (InstallationRecord, error) {
	in, _, err := get[InstallationRecord](ctx, s, "read the installation", installationRef())
	return in, err
}

// SetTenant fixes the tenant if none is set yet and gives the one in force.
func (s *Store) SetTenant(ctx context.Context, tenant string) (inForce string, err error) {
	err = change(ctx, s, "fix the tenant", installationRef(), func(in *InstallationRecord, _ bool, _ time.Time) effect {
		if inForce = in.Tenant; inForce != "" {
			return nothing
		}
		in.Tenant, inForce = tenant, tenant
		return set
	})
	if err != nil {
		return "", err
	}
	return inForce, nil
}
