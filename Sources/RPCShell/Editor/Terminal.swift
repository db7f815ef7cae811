import CLibEdit
import CLinux
import Glibc

/// What is asked of the terminal outside the line editor.
enum Terminal {
  /// Chooses the person's own locale for characters, or C.UTF-8 where that is not UTF-8: bytes above 127 would
  /// vanish in the line editor otherwise.
  static func chooseLocale() {
    setlocale(LC_CTYPE, "")
    guard let name = nl_langinfo(nl_item(CODESET)), String(cString: name) == "UTF-8" else {
      if setlocale(LC_CTYPE, "C.UTF-8") == nil { setlocale(LC_CTYPE, "en_US.UTF-8") }
      return
    }
  }

  static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Columns and rows; 80 by 24 where nobody knows. `COLUMNS` and `LINES` go first where there is no terminal.
  static func size(of descriptor: Int32) -> (columns: Int, rows: Int) {
    var size = winsize()
    if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 {
      return (Int(size.ws_col), max(1, Int(size.ws_row)))
    }
    return (
      Environment["COLUMNS"].flatMap { Int($0) }.map { max(20, $0) } ?? 80,
      Environment["LINES"].flatMap { Int($0) }.map { max(5, $0) } ?? 24
    )
  }
}
