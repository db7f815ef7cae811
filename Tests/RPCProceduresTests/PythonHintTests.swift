import RPCProcedures
import RPCWire
import Testing

@Suite("Type hints of Python functions", .serialized)
struct PythonHintTests {
  private static let head = "from typing import *\n"

  /// A declaration, the function's own words, and the hint that contradicts it, or nil.
  private static let cases: [(declared: String, function: String, contradiction: String?)] = [
    ("f(int) -> int", "def f(a: int) -> int", nil),
    ("f(int) -> float", "def f(a: float) -> int", nil),
    (
      "f(float) -> int", "def f(a: int) -> int",
      "the parameter 'a' of f is hinted as int, but declared as float"
    ),
    ("f(int) -> int", "def f(a: str) -> int", "the parameter 'a' of f is hinted as str, but declared as int"),
    (
      "f(int) -> int", "def f(a: 'str') -> int",
      "the parameter 'a' of f is hinted as str, but declared as int"
    ),
    ("f(int) -> int", "def f(a: 'Nowhere', b: Nothing = 1 if False else 2) -> int", nil),
    ("f(int) -> int", "def f(a: bool) -> int", "hinted as bool, but declared as int"),
    ("f(bool) -> bool", "def f(a: int) -> bool", nil),
    ("f(int) -> int", "def f(a) -> bool", "what f returns is hinted as bool, but declared as [int]"),
    ("f(bytes) -> bytes", "def f(a: bytes) -> bytearray", nil),
    ("f(bytes) -> bytes", "def f(a: str) -> bytes", "hinted as str, but declared as bytes"),
    ("f(List[int]) -> List[int]", "def f(a: list) -> List[int]", nil),
    ("f(List[int]) -> List[int]", "def f(a: list[float]) -> tuple", nil),
    (
      "f(List[int]) -> List[int]", "def f(a: List[str]) -> list",
      "hinted as List[str], but declared as List[int]"
    ),
    ("f(List[List[int]])", "def f(a: List[List[str]])", "declared as List[List[int]]"),
    ("f(Dict[str, int])", "def f(a: dict)", nil), ("f(Dict[str, int])", "def f(a: Dict[str, float])", nil),
    (
      "f(Dict[str, int])", "def f(a: Dict[int, int])",
      "hinted as Dict[int, int], but declared as Dict[str, int]"
    ),
    ("f(Optional[int])", "def f(a: Optional[int])", nil), ("f(Optional[int])", "def f(a: Any)", nil),
    ("f(Optional[int])", "def f(a: int)", "hinted as int, but declared as Optional[int]"),
    ("f(Optional[int])", "def f(a: int = None)", nil), ("f(int)", "def f(a: Union[int, str])", nil),
    ("f(int)", "def f(a: Union[str, None])", "but declared as int"),
    ("f(Any) -> Any", "def f(a: int) -> str", nil), ("f(int, int)", "def f(*a: int)", nil),
    ("f(int, int)", "def f(*a: str)", "the parameter 'a' of f is hinted as str, but declared as int"),
    ("f(List[int])", "def f(a: Sequence[int])", nil),
    ("f(List[int])", "def f(a: Sequence['str'])", "List[int]"),
    ("f(int)", "def f(a: TypeVar('T'))", nil), ("f(str)", "def f(a: Literal['x'])", nil),
    ("f() -> (int, str)", "def f() -> Tuple[int, str]", nil), ("f() -> (int, str)", "def f() -> tuple", nil),
    (
      "f() -> (int, str)", "def f() -> Tuple[int, int]",
      "hinted as Tuple[int, int], but declared as [int, str]"
    ),
    ("f() -> (int, str)", "def f() -> int", "hinted as int, but declared as [int, str]"),
    ("f() -> int", "def f() -> Optional[int]", "hinted as Optional[int], but declared as [int]"),
    ("f() -> int", "def f() -> None", "hinted as None, but declared as [int]"),
    ("f()", "def f() -> None", nil), ("f()", "def f() -> int", "hinted as int, but declared as []"),
    ("f() -> int", "async def f() -> str", "hinted as str, but declared as [int]"),
  ]

  @Test("a hint that contradicts the declaration is refused, with line, parameter, hint and declaration")
  func contradictions() async throws {
    try await withPython { python in
      for (declared, function, contradiction) in Self.cases {
        for future in ["", "from __future__ import annotations\n"] {
          // Text is not evaluated where it stands, so what cannot be resolved is seen only here.
          if future.isEmpty, function.contains("Nothing") { continue }
          let unit = SourceUnit.make(declared, .python, future + Self.head + "\n" + function + ": ...\n")
          do {
            try await python.prepare(unit)
            #expect(contradiction == nil, "\(declared): \(function)")
          } catch let error as RPCError {
            let message = error.message
            #expect(
              contradiction.map { message.contains($0) } == true, "\(declared): \(function): \(message)")
            #expect(error.exception == .failedPrecondition)
            #expect(error.source == "f.py:\(future.isEmpty ? 3 : 4)")
          }
        }
      }
    }
  }

  @Test("a decorated function is not compared, and what is served already goes on being served")
  func leftAlone() async throws {
    try await withPython { python in
      let wrapped = SourceUnit.make(
        "f(int) -> int", .python,
        """
        import functools
        def texts(function):
          @functools.wraps(function)
          def called(a): return int(function(str(a)))
          return called
        @texts
        def f(a: str) -> str: return a + "0"
        """)
      try await python.prepare(wrapped)
      #expect(try await python.call(wrapped, [4]) == [40])
      // A generation of before the comparison: nothing prepared it here.
      let old = SourceUnit.make("g(int) -> int", .python, "def g(a: str) -> int: return a + 1\n")
      #expect(try await python.call(old, [1]) == [2])
    }
  }
}
