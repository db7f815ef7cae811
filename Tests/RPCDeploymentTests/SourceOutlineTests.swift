import RPCProcedures
import TestSupport
import Testing

@testable import RPCDeployment

@Suite("What a source defines")
struct SourceOutlineTests {
  static let python: [(source: String, names: Set<String>)] = [
    ("def f(): pass", ["f"]),
    ("async def f():\n  pass", ["f"]),
    ("@decorator\ndef f():\n  def inner(): pass\n  x = 1\ndef g(): pass", ["f", "g"]),
    ("class C:\n  def method(self): pass\n", ["C"]),
    ("f = lambda x: x\n", ["f"]),
    ("a = b = make()\nc, d = 1, 2\ne: int = 3\n", ["a", "b", "c", "d", "e"]),
    ("x == 1\ny += 2\nz[0] = 3\nw.v = 4\ncall(k=5)\n", []),
    ("import a, b.c, d as e", ["a", "b", "e"]),
    ("from m import (f,\n  g as h)", ["f", "h"]),
    ("from importlib.metadata import version", ["version"]),
    ("from importlib import import_module", ["import_module"]),
    ("from . import f", ["f"]),
    ("try:\n  from m import f\nexcept ImportError:\n  def f(): pass\n", ["f"]),
    ("if True: f = 1\n", ["f"]),
    ("if (x := g()): pass\nwhile (y := g()): pass", ["x", "y"]),
    ("(f := abs)", ["f"]),
    ("(f, g) = (abs, abs)\n[h, *i], j = k", ["f", "g", "h", "i", "j"]),
    ("def setup():\n  global f, g\n  f = abs\nsetup()", ["setup", "f", "g"]),
    ("for f in [abs]: pass\nwith open(p) as g, open(q) as (h, i): pass", ["f", "g", "h", "i"]),
    ("def f(): pass; x = 1\ny = 1; z = 2", ["f", "y", "z"]),
    ("'''\ndef no(): pass\n'''\ndef f():\n  \"def no2(): pass\"\n", ["f"]),
    ("# def no(): pass\nx = '#'; y = 2 # z = 3", ["x", "y"]),
    ("def f(a,\n  b=')',\n  c=1):\n  pass\nx = 1", ["f", "x"]),
    ("x = 1 + \\\n  2\ny = 'it''s \\' fine'\n", ["x", "y"]),
    ("x = 1 + \\\r\n  2\r\nf = \\\r\n  abs\r\n", ["x", "f"]),
    ("\tdef f(): pass", ["f"]),
    ("def f(): pass\r\nx = 1\r\n", ["f", "x"]),
    ("# a\rdef f(): pass\rx = 1", ["f", "x"]),
    ("\u{feff}def f(): pass", ["f"]),
    ("'''unfinished\ndef f(): pass", []),
    ("", []),
  ]

  @Test("a Python module's names", arguments: python.indices)
  func pythonNames(index: Int) {
    let (source, names) = Self.python[index]
    #expect(PythonOutline.read(Array(source.utf8)).names == names, "\(source)")
  }

  static let lua: [(source: String, names: Set<String>)] = [
    ("function f(a) return a end", ["f"]),
    ("local function f() end", []),
    ("f = function(a) end", ["f"]),
    ("local f = function() end", []),
    ("local a, f = 1, function() end", []),
    ("a, f = 1, function() end", ["a", "f"]),
    ("local M = {}\nfunction M.f() end\nfunction M:g() end\nM.h = 1\nreturn M", ["f", "g", "h"]),
    ("return { f = function() end, ['g'] = 1, h == 2 }", ["f", "g"]),
    ("-- function no() end\n--[[ function no2() end ]] function f() end", ["f"]),
    ("x = [==[ function no() end ]] ]==] function f() end", ["x", "f"]),
    ("x = \"function no() \\\" end\"", ["x"]),
    ("for i = 1, 3 do end if a <= b then end if a ~= b then end", []),
    ("#!/usr/bin/lua\nfunction f() end", ["f"]),
    ("\u{feff}#!/usr/bin/lua\nfunction f() end", ["f"]),
    ("--[[ unfinished function f() end", []), ("\"unfinished", []), ("", []),
  ]

  @Test("a Lua chunk's names", arguments: lua.indices)
  func luaNames(index: Int) {
    let (source, names) = Self.lua[index]
    #expect(LuaOutline.read(Array(source.utf8)).names == names, "\(source)")
  }

  /// Whether `f` may be a function of a source, for all that can be told without running it.
  static let possible: [(isPython: Bool, source: String, isPossible: Bool)] = [
    (true, "def g(): pass\nimport os\nif __name__ == '__main__': g()", false),
    (true, "g = 'ff'  # f2", false),
    (true, "def f(): pass", true),
    (true, "if make('f'): pass", true),
    (true, "# f\ndef g(): pass", true),
    (true, "from m import *", true),
    (true, "globals()[chr(102)] = abs", true),
    (true, "import sys\nsys.modules[__name__].__dict__[name()] = abs", true),
    (true, "exec(text)", true),
    (true, "def __getattr__(name): return abs", true),
    // Python reads the full-width letter as f.
    (true, "def \u{ff46}(): pass", true),
    (true, "# \u{ff46}\u{e9}\ndef g(): return '\u{e9}'", false),
    (false, "function g() end", false),
    (false, "local t = {}\nt[g()] = g\nsetmetatable(t, t)", false),
    (false, "f = g", true),
    (false, "local t = {'f'}", true),
    (false, "_G[name] = g", true),
    (false, "_ENV[name] = g", true),
    (false, "load(text)()", true),
  ]

  @Test("a source is refused only where nothing in it can name the function", arguments: possible.indices)
  func cannotDefine(index: Int) {
    let (isPython, source, isPossible) = Self.possible[index]
    let bytes = Array(source.utf8)
    let outline = isPython ? PythonOutline.read(bytes) : LuaOutline.read(bytes)
    #expect(outline.cannotDefine("f") == !isPossible, "\(source)")
  }

  @Test("what is not found, but may be there, is a hint and no error")
  func hints() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try directory.write("# a b\ndef other(): pass\nvalue = make('othr')", to: "f.py")
    let text = InitFileErrorTests.valid.replacing("src: f.py", with: "src: f.py, function: othr")
    let file = try InitFile.parse(Array(text.utf8), path: directory.path + "/init.yaml")
    let hints = file.hints.map { "\($0.sourceName) \($0.diagnostic)".replacing(directory.path, with: "") }
    #expect(
      hints == [
        "f.py /init.yaml:14:74: no function 'othr' was found in the source 'f.py' (did you mean 'other'?)"
      ])
  }

  @Test("Lua takes any bytes, and Python those of the encoding that it is told")
  func encodings() throws {
    let latin = Array("f = '".utf8) + [0xe9] + Array("'".utf8)
    #expect(LanguageEntry.lua.isText(latin))
    #expect(!LanguageEntry.python.isText(latin))
    #expect(LanguageEntry.python.isText(Array("# -*- coding: latin-1 -*-\n".utf8) + latin))
    #expect(LanguageEntry.python.isText(Array("#!/usr/bin/python\n# coding=latin-1\n".utf8) + latin))
    #expect(!LanguageEntry.python.isText(Array("\n\n# coding=latin-1\n".utf8) + latin))
  }

  @Test("random bytes never crash a scan")
  func noise() {
    var generator = SeededRandom(seed: 11)
    let alphabet = Array("def f():\n '\"[]=-#\\()local function,{}.;\t\r:for as in import".utf8)
    for _ in 0..<3000 {
      let bytes = (0..<Int.random(in: 0..<60, using: &generator)).map { _ in
        alphabet.randomElement(using: &generator) ?? 0
      }
      _ = PythonOutline.read(bytes)
      _ = LuaOutline.read(bytes)
    }
  }
}
