extension Language {
  package static let lua = Language(name: "lua")
}

extension LanguageEntry {
  package static let lua = LanguageEntry(.lua, fileEndings: [".lua"], comment: "--", outline: LuaOutline.read)
  {
    LuaRuntime($0)
  }
}
