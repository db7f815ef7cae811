/// Candidates as rows of text: in columns, or one per row with what is known of each.
enum CandidateList {
  static func rows(_ candidates: [Candidate], width: Int, style: Style) -> [String] {
    guard candidates.contains(where: { !$0.detail.isEmpty }) else {
      return columns(candidates.map(\.text), width)
    }
    let column = min(candidates.map { TextWidth.columns($0.text) }.max() ?? 0, max(20, width / 2))
    return candidates.map { candidate in
      let name = TextWidth.padded(TextWidth.cut(candidate.text, to: column), to: column)
      let detailWidth = max(0, width - column - 3)
      return name + "  "
        + style.paint(TextWidth.cut(TextWidth.harmless(candidate.detail), to: detailWidth), .dim)
    }
  }

  /// Down the columns, as `ls` does.
  private static func columns(_ texts: [String], _ width: Int) -> [String] {
    let widest = (texts.map { TextWidth.columns($0) }.max() ?? 0) + 2
    let count = max(1, width / widest)
    let rows = (texts.count + count - 1) / count
    return (0..<rows).map { row in
      stride(from: row, to: texts.count, by: rows).map { index in
        index + rows < texts.count ? TextWidth.padded(texts[index], to: widest) : texts[index]
      }.joined()
    }
  }
}
