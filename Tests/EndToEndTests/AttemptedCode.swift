/// Code that a procedure tries and that must fail.
enum AttemptedCode {
  /// The Python function that runs code: `attempt(code)` returns the name of the error that it raised, or `"escaped"`.
  static let python = """
    def attempt(code):
        try:
            exec(code)
        except BaseException as error:
            return type(error).__name__
        return "escaped"
    """
}
