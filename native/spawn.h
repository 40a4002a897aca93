// Starts the executor, whose ELF file is part of this program.
#pragma once

enum { MAX_FDS = 1024 };

extern const char executor_start[], executor_end[], monitor_start[], monitor_end[], reaper_start[], reaper_end[];
extern const char resolver_start[], resolver_end[];
extern const char relay_start[], relay_end[];

// `fds[i]` is the executor's descriptor `i`, and there are no others. A pid, or -errno. `count` is at most MAX_FDS.
int spawn_executor(const int *fds, int count);
