#ifndef RPC_CLIBYAML_H
#define RPC_CLIBYAML_H

// libyaml of the operating system, whose events name the place of every key, value and alias.
#include <yaml.h>

#endif
