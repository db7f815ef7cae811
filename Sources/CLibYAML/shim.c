#include "CLibYAML.h"

// The header alone is used; a target of C needs a source.
