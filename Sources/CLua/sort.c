#include "internal.h"

// table.sort as a bottom-up merge sort that pauses between any two comparisons, those that call a comparator
// included. Two tables of copies are merged to and fro; the caller's table gets the result at the end, so that
// an error leaves it as it was. Equal elements keep their order.

struct sort {
  lua_Integer count, width, low, middle, high, left, right, next;
  /// The stack index of the copy that is read; the other one is written.
  int source, target;
  enum { kCopying, kMerging, kComparing, kWriting } phase;
};

enum { kTable = 1, kComparator = 2, kState = 3, kFirstCopy = 4, kSecondCopy = 5, kLeft = 6, kRight = 7 };

static void begin_merge(lua_State *L, struct sort *sort) {
  sort->middle = sort->low + sort->width < sort->count ? sort->low + sort->width : sort->count;
  sort->high = sort->middle + sort->width < sort->count ? sort->middle + sort->width : sort->count;
  sort->left = sort->low;
  sort->right = sort->middle;
  sort->next = sort->low;
  lua_settop(L, kSecondCopy);
  lua_rawgeti(L, sort->source, sort->left + 1);
  if (sort->right < sort->high) lua_rawgeti(L, sort->source, sort->right + 1);
  else lua_pushnil(L);
}

static void take(lua_State *L, struct sort *sort, int side, lua_Integer *index, lua_Integer end) {
  lua_pushvalue(L, side);
  lua_rawseti(L, sort->target, ++sort->next);
  if (++*index < end) {
    lua_rawgeti(L, sort->source, *index + 1);
    lua_replace(L, side);
  }
}

/// Goes on to the next pair of runs, the next width, or the end.
static void next_merge(lua_State *L, struct sort *sort) {
  sort->low = sort->high;
  if (sort->low >= sort->count) {
    int target = sort->target;
    sort->target = sort->source;
    sort->source = target;
    sort->low = 0;
    sort->width *= 2;
    if (sort->width >= sort->count) {
      sort->phase = kWriting;
      sort->next = 0;
      lua_settop(L, kSecondCopy);
      return;
    }
  }
  begin_merge(L, sort);
}

static int run(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  struct sort *sort = lua_touserdata(L, kState);
  if (sort->phase == kComparing) goto compared;
  for (;;) {
    if (must_pause(L)) return lua_yieldk(L, 0, 0, run);
    switch (sort->phase) {
    case kCopying:
      if (sort->next < sort->count) {
        lua_geti(L, kTable, sort->next + 1);
        lua_rawseti(L, kFirstCopy, ++sort->next);
        continue;
      }
      sort->phase = kMerging;
      begin_merge(L, sort);
      continue;
    case kWriting:
      if (sort->next == sort->count) return 0;
      lua_rawgeti(L, sort->source, sort->next + 1);
      lua_seti(L, kTable, ++sort->next);
      continue;
    default: break;
    }
    if (sort->left >= sort->middle && sort->right >= sort->high) {
      next_merge(L, sort);
      continue;
    }
    bool takes_right;
    if (sort->right >= sort->high) takes_right = false;
    else if (sort->left >= sort->middle) takes_right = true;
    else if (lua_isnil(L, kComparator)) takes_right = lua_compare(L, kRight, kLeft, LUA_OPLT);
    else {
      lua_pushvalue(L, kComparator);
      lua_pushvalue(L, kRight);
      lua_pushvalue(L, kLeft);
      sort->phase = kComparing;
      lua_callk(L, 2, 1, 0, run);
    compared:
      sort->phase = kMerging;
      takes_right = lua_toboolean(L, -1);
      lua_pop(L, 1);
    }
    if (takes_right) take(L, sort, kRight, &sort->right, sort->high);
    else take(L, sort, kLeft, &sort->left, sort->middle);
  }
}

int rpclua_sort(lua_State *L);
int rpclua_sort(lua_State *L) {
  luaL_checktype(L, kTable, LUA_TTABLE);
  lua_Integer count = luaL_len(L, kTable);
  if (count < 2) return 0;
  luaL_argcheck(L, count < INT32_MAX, 1, "array too big");
  if (!lua_isnoneornil(L, kComparator)) luaL_checktype(L, kComparator, LUA_TFUNCTION);
  lua_settop(L, kComparator);
  struct sort *sort = lua_newuserdatauv(L, sizeof *sort, 0);
  memset(sort, 0, sizeof *sort);
  sort->count = count;
  sort->width = 1;
  sort->source = kFirstCopy;
  sort->target = kSecondCopy;
  sort->phase = kCopying;
  // They grow as they are filled, so that neither a length that a metamethod made up nor a long list takes
  // memory at once.
  lua_newtable(L);
  lua_newtable(L);
  return run(L, LUA_OK, 0);
}
