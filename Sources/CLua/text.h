#pragma once
#include "pattern.h"

void string_match_init(
    struct match *match, const char *subject, size_t count, const char *pattern, size_t pattern_count);
int string_gsub(lua_State *L);
/// string.find of a plain string: pushes its results.
int plain_find(
    lua_State *L, const char *subject, size_t count, size_t from, const char *pattern, size_t pattern_count);
/// Raises for a pattern that takes too long to look at. `is_find`: where a plain search could be asked for.
void check_pattern_length(lua_State *L, size_t count, bool is_find);
/// Bounds format, pack, unpack and packsize of the string library on top (format.c).
void wrap_formats(lua_State *L);
/// Whether a function of the C library makes a string in a buffer of its own.
bool makes_string(lua_CFunction function);
