/* The subcommands of weir, one file each. */
#pragma once

#include "weir/base/option.h"

extern const struct command command_serve;
extern const struct command command_bridge;
extern const struct command command_install;
extern const struct command command_doctor;
extern const struct command command_status;
extern const struct command command_token;
