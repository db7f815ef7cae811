import CLibEdit
import Glibc

/// A text as libedit takes it: 32-bit characters up to a zero, in memory that stays where it is.
final class WideText {
  let pointer: UnsafeMutablePointer<wchar_t>

  init(_ text: String) {
    let scalars = text.unicodeScalars
    pointer = .allocate(capacity: scalars.count + 1)
    var index = 0
    // A zero would end the text.
    for scalar in scalars where scalar.value != 0 {
      pointer[index] = wchar_t(bitPattern: scalar.value)
      index += 1
    }
    pointer[index] = 0
  }

  deinit { pointer.deallocate() }

  static func with<T>(_ text: String, _ body: (UnsafePointer<wchar_t>) -> T) -> T {
    let wide = WideText(text)
    return withExtendedLifetime(wide) { body(wide.pointer) }
  }

  static func string(_ start: UnsafePointer<wchar_t>, count: Int) -> String {
    var result = String.UnicodeScalarView()
    for index in 0..<count {
      result.append(Unicode.Scalar(UInt32(bitPattern: start[index])) ?? "\u{fffd}")
    }
    return String(result)
  }
}
