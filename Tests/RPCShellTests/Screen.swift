/// As much of a terminal as a line editor needs: what a person would see. Rows scroll off at the top and are kept.
struct Screen {
  let columns: Int
  let rows: Int
  private(set) var lines: [[Character]]
  private(set) var scrolledOff: [String] = []
  private(set) var row = 0
  private(set) var column = 0
  private var saved = (row: 0, column: 0)
  private var pending: [UInt8] = []
  /// Whether bracketed paste is on.
  private(set) var pastes = false
  /// Sequences that this screen does not know: a test should see them.
  private(set) var unknown: [String] = []

  init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
    lines = Array(repeating: Array(repeating: " ", count: columns), count: rows)
  }

  /// What is on the screen, without spaces at the ends and empty rows below.
  var text: String {
    var texts = lines.map { line in String(line.filter { $0 != "\u{0}" }).trimmingEnd }
    while texts.last == "" { texts.removeLast() }
    return texts.joined(separator: "\n")
  }

  /// The row that the cursor is in.
  var currentLine: String { String(lines[row].filter { $0 != "\u{0}" }).trimmingEnd }

  mutating func feed(_ bytes: [UInt8]) {
    pending += bytes
    var index = 0
    while index < pending.count {
      guard let used = step(index) else { break }
      index += used
    }
    pending.removeFirst(index)
  }

  /// Handles what starts at `index`; returns its length, nil when more is needed.
  private mutating func step(_ index: Int) -> Int? {
    let byte = pending[index]
    switch byte {
    case 0x1b: return escape(index)
    case 0x0d: column = 0
    case 0x0a: lineFeed()
    case 0x08: column = max(0, column - 1)
    case 0x07, 0x00: break
    case 0x09: column = min(columns - 1, (column / 8 + 1) * 8)
    case 0..<0x20: unknown.append("control \(byte)")
    default:
      let length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      guard index + length <= pending.count else { return nil }
      let text = String(decoding: pending[index..<index + length], as: UTF8.self)
      for character in text { put(character) }
      return length
    }
    return 1
  }

  private mutating func put(_ character: Character) {
    let wide = isWide(character)
    if column + (wide ? 2 : 1) > columns {
      column = 0
      lineFeed()
    }
    lines[row][column] = character
    column += 1
    if wide {
      // The other half of the cell.
      lines[row][column] = "\u{0}"
      column += 1
    }
  }

  private func isWide(_ character: Character) -> Bool {
    guard let value = character.unicodeScalars.first?.value else { return false }
    return value >= 0x1100 && value <= 0x115f || value >= 0x2e80 && value <= 0xa4cf
      || value >= 0xac00 && value <= 0xd7a3
      || value >= 0xff00 && value <= 0xff60 || value >= 0x1f300 && value <= 0x1faff
  }

  private mutating func lineFeed() {
    guard row == rows - 1 else {
      row += 1
      return
    }
    scrolledOff.append(String(lines.removeFirst()).trimmingEnd)
    lines.append(Array(repeating: " ", count: columns))
  }

  private mutating func escape(_ index: Int) -> Int? {
    guard index + 1 < pending.count else { return nil }
    switch pending[index + 1] {
    case UInt8(ascii: "7"):
      saved = (row, column)
      return 2
    case UInt8(ascii: "8"):
      (row, column) = saved
      return 2
    case UInt8(ascii: "M"):
      row = max(0, row - 1)
      return 2
    case UInt8(ascii: "["):
      var end = index + 2
      while end < pending.count, pending[end] < 0x40 { end += 1 }
      guard end < pending.count else { return nil }
      control(String(decoding: pending[(index + 2)..<end], as: UTF8.self), pending[end])
      return end + 1 - index
    case UInt8(ascii: "("), UInt8(ascii: ")"): return index + 2 < pending.count ? 3 : nil
    case UInt8(ascii: "="), UInt8(ascii: ">"): return 2
    default:
      unknown.append("escape \(pending[index + 1])")
      return 2
    }
  }

  private mutating func control(_ parameters: String, _ final: UInt8) {
    let numbers = parameters.split(separator: ";", omittingEmptySubsequences: false).map { Int($0) }
    let count = max(1, (numbers.first ?? nil) ?? 1)
    switch Character(Unicode.Scalar(final)) {
    case "A": row = max(0, row - count)
    case "B": row = min(rows - 1, row + count)
    case "C": column = min(columns - 1, column + count)
    case "D": column = max(0, column - count)
    case "G": column = min(columns, count) - 1
    case "H":
      row = min(rows, count) - 1
      column = min(columns, max(1, numbers.count > 1 ? numbers[1] ?? 1 : 1)) - 1
    case "J": eraseBelow(numbers.first == 2)
    case "K": for position in column..<columns { lines[row][position] = " " }
    case "P":
      lines[row].removeSubrange(column..<min(columns, column + count))
      lines[row] += Array(repeating: " ", count: columns - lines[row].count)
    case "@":
      lines[row].insert(contentsOf: Array(repeating: " ", count: count), at: column)
      lines[row].removeLast(lines[row].count - columns)
    case "h" where parameters == "?2004": pastes = true
    case "l" where parameters == "?2004": pastes = false
    case "m", "h", "l", "r": break
    default: unknown.append("CSI \(parameters)\(Character(Unicode.Scalar(final)))")
    }
  }

  private mutating func eraseBelow(_ all: Bool) {
    for line in (all ? 0 : row)..<rows {
      for position in (line == row && !all ? column : 0)..<columns { lines[line][position] = " " }
    }
  }
}

extension String {
  fileprivate var trimmingEnd: String {
    var slice = Substring(self)
    while slice.last == " " { slice.removeLast() }
    return String(slice)
  }
}

extension String {
  /// How often a text occurs.
  func components(_ part: String) -> Int {
    var count = 0
    var rest = self[...]
    while let range = rest.firstRange(of: part) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
