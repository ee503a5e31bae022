<?php
/**
 * erp-calendar's connector. Copy to /etc/erp-calendar/config.php, outside the web root;
 * only root may write it and only the web server's user may read it:
 *
 *     chown root:www-data config.php && chmod 0640 config.php
 */
return [
    // The address of the function Notify: terraform's output notification_url.
    'url' => 'https://notify-abc123-ew.a.run.app',

    // One of NOTIFY_SECRETS.
    'secret' => 'whsec_...',

    // A directory of the web server's user alone (0700), on a local disk.
    'spool' => '/var/spool/erp-calendar',

    // All below may be left out; these are the defaults.
    'spool_max_bytes' => 4 << 20,
    'spool_max_hours' => 72, // the nightly run has long found what is older
    // 'ca_file' => '/etc/ssl/private-ca.pem', // when Notify is behind an authority of your own

    // Events that need a field or a type of their own (README.md, "Events"):
    //   name => [task.changed | task.deleted | employee.changed | employee.deleted, field],
    //   name => false to leave one out.
    'events' => [
        // 'TASK_SOMETHING' => ['task.changed', 'task_id'],
    ],
    // The same for api_function; a number is the argument's position from 1.
    'legacy_events' => [
        // 'task_add' => ['task.changed', 'taskId'],
        // 'staff_edit' => ['employee.changed', 1],
    ],
];
