/* SIGBUS: what the kernel sends when a page of a mapped file cannot be read from the disk, or has
 * no room on it. Nothing can be done about it where it happens, but it can be said. */
#pragma once

/* Has the process say so before it dies of it. */
void bus_error_explain(void);
