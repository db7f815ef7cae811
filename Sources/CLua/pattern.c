#include "pattern.h"

#include <ctype.h>

// The grammar and the semantics are those of the Lua 5.4 reference manual, section 6.4.1.

static const char *class_end(lua_State *L, struct match *m, const char *p) {
  if (p == m->pattern_end) luaL_error(L, "malformed pattern");
  if (*p == '%') {
    if (p + 1 == m->pattern_end) luaL_error(L, "malformed pattern (ends with '%%')");
    return p + 2;
  }
  if (*p++ != '[') return p;
  if (p < m->pattern_end && *p == '^') p++;
  do {
    // A closing bracket that comes first is an element.
    if (p == m->pattern_end) luaL_error(L, "malformed pattern (missing ']')");
    char c = *p++;
    if (c == '%') {
      if (p == m->pattern_end) luaL_error(L, "malformed pattern (missing ']')");
      p++;
    }
  } while (p == m->pattern_end || *p != ']');
  return p + 1;
}

static bool in_class(int c, int letter) {
  bool result;
  switch (letter | 0x20) {
  case 'a': result = isalpha(c); break;
  case 'c': result = iscntrl(c); break;
  case 'd': result = isdigit(c); break;
  case 'g': result = isgraph(c); break;
  case 'l': result = islower(c); break;
  case 'p': result = ispunct(c); break;
  case 's': result = isspace(c); break;
  case 'u': result = isupper(c); break;
  case 'w': result = isalnum(c); break;
  case 'x': result = isxdigit(c); break;
  // Not in the manual since 5.2, but still there.
  case 'z': result = c == 0; break;
  default: return letter == c;
  }
  return letter & 0x20 ? result : !result;
}

/// `set` stands at the bracket that opens, `end` at the one that closes.
static bool in_set(int c, const char *set, const char *end) {
  bool found = true;
  const char *p = set + 1;
  if (*p == '^') {
    found = false;
    p++;
  }
  for (; p < end; p++) {
    if (*p == '%') {
      p++;
      if (in_class(c, (unsigned char)*p)) return found;
    } else if (p + 2 < end && p[1] == '-') {
      if ((unsigned char)*p <= c && c <= (unsigned char)p[2]) return found;
      p += 2;
    } else if ((unsigned char)*p == c) {
      return found;
    }
  }
  return !found;
}

static bool single(struct match *m, const char *s, const char *p, const char *end) {
  if (s >= m->subject_end) return false;
  int c = (unsigned char)*s;
  switch (*p) {
  case '.': return true;
  case '%': return in_class(c, (unsigned char)p[1]);
  case '[': return in_set(c, p, end - 1);
  default: return (unsigned char)*p == c;
  }
}

static struct choice *choose(lua_State *L, struct match *m, char kind) {
  if (m->choices == kChoicesMax) luaL_error(L, "pattern too complex");
  struct choice *choice = &m->stack[m->choices++];
  choice->kind = kind;
  return choice;
}

static int open_capture(lua_State *L, struct match *m) {
  for (int level = m->level - 1; level >= 0; level--)
    if (m->captures[level].length == kUnfinished) return level;
  return luaL_error(L, "invalid pattern capture");
}

/// The length of the capture that %1 to %9 names.
static size_t back_reference(lua_State *L, struct match *m, int digit, const char **start) {
  int index = digit - '1';
  if (index < 0 || index >= m->level || m->captures[index].length == kUnfinished)
    luaL_error(L, "invalid capture index %%%d", index + 1);
  *start = m->captures[index].start;
  // Nothing equals a position.
  return m->captures[index].length == kPosition ? SIZE_MAX : (size_t)m->captures[index].length;
}

void match_begin(struct match *m, const char *s, const char *p) {
  m->s = s;
  m->p = p;
  m->level = 0;
  m->choices = 0;
  m->paused = 0;
}

/// Takes up the latest choice that has another way to go. False: there is none.
static bool backtrack(struct match *m) {
  while (m->choices > 0) {
    struct choice *choice = &m->stack[m->choices - 1];
    switch (choice->kind) {
    case '?':
      m->choices--;
      m->s = choice->subject;
      m->p = choice->end + 1;
      return true;
    case '*':
      if (choice->count == 0) break;
      choice->count--;
      m->s = choice->subject + choice->count;
      m->p = choice->end + 1;
      return true;
    case '-':
      if (!single(m, choice->subject, choice->pattern, choice->end)) break;
      choice->subject++;
      m->s = choice->subject;
      m->p = choice->end + 1;
      return true;
    case '(': m->level--; break;
    default: m->captures[choice->capture].length = kUnfinished; break;
    }
    m->choices--;
  }
  return false;
}

/// Counts as many as there are of what the latest choice repeats. False: paused.
static bool repeat(lua_State *L, struct match *m) {
  struct choice *choice = &m->stack[m->choices - 1];
  while (single(m, choice->subject + choice->count, choice->pattern, choice->end)) {
    choice->count++;
    if (must_pause(L)) {
      m->paused = '*';
      return false;
    }
  }
  m->paused = 0;
  m->s = choice->subject + choice->count;
  m->p = choice->end + 1;
  return true;
}

enum step { step_on, step_fail, step_done, step_paused };

/// %bxy: walks to the y that balances the x.
static enum step balance(lua_State *L, struct match *m) {
  if (m->p + 3 >= m->pattern_end) luaL_error(L, "malformed pattern (missing arguments to '%%b')");
  char opens = m->p[2], closes = m->p[3];
  if (!m->paused) {
    if (m->s >= m->subject_end || *m->s != opens) return step_fail;
    m->at = m->s + 1;
    m->nesting = 1;
  }
  m->paused = 0;
  while (m->at < m->subject_end) {
    if (*m->at == closes) {
      if (--m->nesting == 0) {
        m->s = m->at + 1;
        m->p += 4;
        return step_on;
      }
    } else if (*m->at == opens) {
      m->nesting++;
    }
    m->at++;
    if (must_pause(L)) {
      m->paused = 'b';
      return step_paused;
    }
  }
  return step_fail;
}

static enum step frontier(lua_State *L, struct match *m) {
  const char *set = m->p + 2;
  if (set >= m->pattern_end || *set != '[') luaL_error(L, "missing '[' after '%%f' in pattern");
  const char *end = class_end(L, m, set);
  int before = m->s == m->subject ? 0 : (unsigned char)m->s[-1];
  int here = m->s == m->subject_end ? 0 : (unsigned char)*m->s;
  if (in_set(before, set, end - 1) || !in_set(here, set, end - 1)) return step_fail;
  m->p = end;
  return step_on;
}

static enum step item(lua_State *L, struct match *m) {
  const char *end = class_end(L, m, m->p);
  char suffix = end < m->pattern_end ? *end : 0;
  switch (suffix) {
  case '?':
    if (single(m, m->s, m->p, end)) {
      struct choice *choice = choose(L, m, '?');
      choice->subject = m->s++;
      choice->end = end;
    }
    m->p = end + 1;
    return step_on;
  case '+':
  case '*': {
    const char *from = m->s;
    if (suffix == '+') {
      if (!single(m, m->s, m->p, end)) return step_fail;
      from++;
    }
    struct choice *choice = choose(L, m, '*');
    choice->subject = from;
    choice->pattern = m->p;
    choice->end = end;
    choice->count = 0;
    return repeat(L, m) ? step_on : step_paused;
  }
  case '-': {
    struct choice *choice = choose(L, m, '-');
    choice->subject = m->s;
    choice->pattern = m->p;
    choice->end = end;
    m->p = end + 1;
    return step_on;
  }
  default:
    if (!single(m, m->s, m->p, end)) return step_fail;
    m->s++;
    m->p = end;
    return step_on;
  }
}

static enum step step(lua_State *L, struct match *m) {
  if (m->p == m->pattern_end) return step_done;
  switch (*m->p) {
  case '(': {
    if (m->level >= kCapturesMax) luaL_error(L, "too many captures");
    bool is_position = m->p + 1 < m->pattern_end && m->p[1] == ')';
    m->captures[m->level].start = m->s;
    m->captures[m->level].length = is_position ? kPosition : kUnfinished;
    m->level++;
    choose(L, m, '(');
    m->p += is_position ? 2 : 1;
    return step_on;
  }
  case ')': {
    int level = open_capture(L, m);
    m->captures[level].length = m->s - m->captures[level].start;
    choose(L, m, ')')->capture = level;
    m->p++;
    return step_on;
  }
  case '$':
    if (m->p + 1 != m->pattern_end) return item(L, m);
    return m->s == m->subject_end ? step_done : step_fail;
  case '%':
    if (m->p + 1 < m->pattern_end) {
      char next = m->p[1];
      if (next == 'b') return balance(L, m);
      if (next == 'f') return frontier(L, m);
      if (next >= '0' && next <= '9') {
        const char *start;
        size_t length = back_reference(L, m, next, &start);
        if ((size_t)(m->subject_end - m->s) < length || memcmp(start, m->s, length) != 0) return step_fail;
        m->s += length;
        m->p += 2;
        return step_on;
      }
    }
    return item(L, m);
  default: return item(L, m);
  }
}

enum match_result match_run(lua_State *L, struct match *m) {
  if (m->paused == '*' && !repeat(L, m)) return match_paused;
  for (;;) {
    switch (step(L, m)) {
    case step_on: continue;
    case step_done: return match_found;
    case step_paused: return match_paused;
    case step_fail:
      if (!backtrack(m)) return match_failed;
      if (must_pause(L)) return match_paused;
    }
  }
}

void match_push_capture(lua_State *L, struct match *m, int index, const char *start, const char *end) {
  if (index >= m->level) {
    if (index != 0) luaL_error(L, "invalid capture index %%%d", index + 1);
    lua_pushlstring(L, start, (size_t)(end - start));
    return;
  }
  ptrdiff_t length = m->captures[index].length;
  if (length == kUnfinished) luaL_error(L, "unfinished capture");
  if (length == kPosition) lua_pushinteger(L, m->captures[index].start - m->subject + 1);
  else lua_pushlstring(L, m->captures[index].start, (size_t)length);
}

int match_push_captures(lua_State *L, struct match *m, const char *start, const char *end) {
  int count = m->level == 0 && start ? 1 : m->level;
  luaL_checkstack(L, count, "too many captures");
  for (int index = 0; index < count; index++) match_push_capture(L, m, index, start, end);
  return count;
}
