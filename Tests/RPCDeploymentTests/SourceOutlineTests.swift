import Testing

@testable import RPCDeployment

@Suite("What a source defines")
struct SourceOutlineTests {
  static let python: [(source: String, names: Set<String>, isComplete: Bool)] = [
    ("def f(): pass", ["f"], true),
    ("async def f():\n  pass", ["f"], true),
    ("@decorator\ndef f():\n  def inner(): pass\n  x = 1\ndef g(): pass", ["f", "g"], true),
    ("class C:\n  def method(self): pass\n", ["C"], true),
    ("f = lambda x: x\n", ["f"], true),
    ("a = b = make()\nc, d = 1, 2\ne: int = 3\n", ["a", "b", "c", "d", "e"], true),
    ("x == 1\ny += 2\nz[0] = 3\nw.v = 4\ncall(k=5)\n", [], true),
    ("import a, b.c, d as e", ["a", "b", "e"], true),
    ("from m import (f,\n  g as h)", ["f", "h"], true),
    ("from m import *", [], false),
    ("try:\n  from m import f\nexcept ImportError:\n  def f(): pass\n", ["f"], true),
    ("if True: f = 1\n", [], false),
    ("globals()['f'] = 1\n", [], false),
    ("'''\ndef no(): pass\n'''\ndef f():\n  \"def no2(): pass\"\n", ["f"], true),
    ("# def no(): pass\nx = '#'; y = 2 # z = 3", ["x", "y"], true),
    ("def f(a,\n  b=')',\n  c=1):\n  pass\nx = 1", ["f", "x"], true),
    ("x = 1 + \\\n  2\ny = 'it''s \\' fine'\n", ["x", "y"], true),
    ("\tdef f(): pass", ["f"], true),
    ("def f(): pass\r\nx = 1\r\n", ["f", "x"], true),
    ("'''unfinished\ndef f(): pass", [], true),
    ("", [], true),
  ]

  @Test("a Python module's names", arguments: python.indices)
  func pythonNames(index: Int) {
    let (source, names, isComplete) = Self.python[index]
    let outline = PythonOutline.read(Array(source.utf8))
    #expect(outline.names == names, "\(source)")
    #expect(outline.isComplete == isComplete, "\(source)")
  }

  static let lua: [(source: String, names: Set<String>, isComplete: Bool)] = [
    ("function f(a) return a end", ["f"], true),
    ("local function f() end", [], true),
    ("f = function(a) end", ["f"], true),
    ("local f = function() end", [], true),
    ("local a, f = 1, function() end", [], true),
    ("a, f = 1, function() end", ["a", "f"], true),
    ("local M = {}\nfunction M.f() end\nfunction M:g() end\nM.h = 1\nreturn M", ["f", "g", "h"], true),
    ("return { f = function() end, ['g'] = 1, h == 2 }", ["f", "g"], true),
    ("-- function no() end\n--[[ function no2() end ]] function f() end", ["f"], true),
    ("x = [==[ function no() end ]] ]==] function f() end", ["x", "f"], true),
    ("x = \"function no() \\\" end\"", ["x"], true),
    ("for i = 1, 3 do end if a <= b then end if a ~= b then end", [], true),
    ("_G[name] = 1", [], false), ("load(text)()", [], false),
    ("#!/usr/bin/lua\nfunction f() end", ["f"], true),
    ("--[[ unfinished function f() end", [], true), ("\"unfinished", [], true), ("", [], true),
  ]

  @Test("a Lua chunk's names", arguments: lua.indices)
  func luaNames(index: Int) {
    let (source, names, isComplete) = Self.lua[index]
    let outline = LuaOutline.read(Array(source.utf8))
    #expect(outline.names == names, "\(source)")
    #expect(outline.isComplete == isComplete, "\(source)")
  }

  @Test("random bytes never crash a scan")
  func noise() {
    var generator = SeededGenerator(seed: 11)
    let alphabet = Array("def f():\n '\"[]=-#\\()local function,{}.;\t".utf8)
    for _ in 0..<3000 {
      let bytes = (0..<Int.random(in: 0..<60, using: &generator)).map { _ in
        alphabet.randomElement(using: &generator) ?? 0
      }
      _ = PythonOutline.read(bytes)
      _ = LuaOutline.read(bytes)
    }
  }
}
