import Models
import Testing

@Suite struct CheckpointJSONTests {
    @Test(arguments: [
        "null", "true", "-0", "12345678901234567890", "1e300", "0.1", #""a\u00e9\ud83d\ude00\n\/""#, "[]",
        "{}",
        #"{"b":1,"a":[1,2,{"c":null}],"b":2}"#, " [ 1 , 2 ] ",
    ])
    func whatIsWrittenReadsBackTheSame(text: String) throws {
        let once = try JSON.parse(text).text()
        #expect(try JSON.parse(once).text() == once)
        #expect(try JSON.parse(JSON.parse(text).text(.indented)).text() == once)
    }

    @Test func orderAndRepeatedKeysSurvive() throws {
        #expect(try JSON.parse(#"{"b":1,"a":2,"b":3}"#).text() == #"{"b":1,"a":2,"b":3}"#)
    }

    @Test func keysThatSwiftTakesForEqualStayApart() throws {
        let json = try JSON.parse("{\"\\u212b\":1,\"\\u00c5\":2,\"A\\u030a\":3}")
        #expect(
            json["\u{212B}"]?.integer == 1 && json["\u{C5}"]?.integer == 2 && json["A\u{30A}"]?.integer == 3)
    }

    @Test(arguments: [
        "", " ", "nul", "tru", "01", "1.", ".5", "+1", "1e", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}",
        "{\"a\":1,}",
        "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "1 2",
        "[", "{", "1e999",
        "NaN", "'a'", String(repeating: "[", count: 5000),
    ])
    func whatIsNotJSONIsRefused(text: String) {
        #expect(throws: JSONError.self) { try JSON.parse(text) }
    }

    @Test func invalidUTF8IsRefused() {
        #expect(throws: JSONError.self) { try JSON.parse([0x22, 0xC3, 0x28, 0x22]) }
        #expect(throws: JSONError.self) { try JSON.parse([0x22, 0x5C, 0x6E, 0xED, 0xA0, 0x80, 0x22]) }
    }

    @Test func indentedTextIsThatOfPython() throws {
        // json.dumps({"a": [1, {"b": None}], "c": {}, "d": [], "e": 1e-05, "f": "é\x01"}, indent=2, ensure_ascii=False)
        let expected = """
            {
              "a": [
                1,
                {
                  "b": null
                }
              ],
              "c": {},
              "d": [],
              "e": 1e-05,
              "f": "é\\u0001"
            }
            """
        #expect(try JSON.parse(expected).text(.indented) == expected)
    }
}
