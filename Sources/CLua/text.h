#pragma once
#include "pattern.h"

void string_match_init(
    struct match *match, const char *subject, size_t count, const char *pattern, size_t pattern_count);
int string_gsub(lua_State *L);
/// string.find of a plain string: pushes its results.
int plain_find(
    lua_State *L, const char *subject, size_t count, size_t from, const char *pattern, size_t pattern_count);
