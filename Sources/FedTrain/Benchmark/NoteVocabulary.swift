/// The words the notes are made of: what can break, how it is said, where, when and how urgently.
///
/// Everything here is fixed; seeds choose among it. A category is what the reader must infer;
/// its name never appears in a note.
package enum NoteVocabulary {
    /// One kind of trouble. `things` are (singular, plural); `signs` are complaints only this
    /// category uses. A sign that starts with "+" follows a form of "be"; others stand alone.
    package struct Category: Sendable {
        package let name: String
        package let things: [(one: String, many: String)]
        package let signs: [String]
    }

    package static let categories: [Category] = [
        Category(
            name: "water",
            things: [
                ("tap", "taps"), ("sink", "sinks"), ("toilet", "toilets"), ("shower", "showers"),
                ("pipe", "pipes"), ("drain", "drains"), ("basin", "basins"), ("valve", "valves"),
                ("hose", "hoses"), ("boiler tank", "boiler tanks"),
            ],
            signs: ["+dripping", "+clogged", "will not flush", "+leaking", "+flooding", "+backed up"]),
        Category(
            name: "power",
            things: [
                ("socket", "sockets"), ("lamp", "lamps"), ("light", "lights"), ("fuse", "fuses"),
                ("switch", "switches"), ("cable", "cables"), ("bulb", "bulbs"), ("plug", "plugs"),
                ("charger", "chargers"), ("extension lead", "extension leads"),
            ],
            signs: ["+sparking", "+flickering", "+without current", "+dark", "+tripping", "+burnt out"]),
        Category(
            name: "climate",
            things: [
                ("radiator", "radiators"), ("heater", "heaters"), ("fan", "fans"), ("vent", "vents"),
                ("thermostat", "thermostats"), ("cooler", "coolers"), ("duct", "ducts"),
                ("stove", "stoves"), ("humidifier", "humidifiers"), ("air filter", "air filters"),
            ],
            signs: ["+ice cold", "+too hot", "+blowing dust", "+stuffy", "+not heating", "+freezing"]),
        Category(
            name: "cleaning",
            things: [
                ("floor", "floors"), ("carpet", "carpets"), ("window", "windows"), ("bin", "bins"),
                ("mirror", "mirrors"), ("towel", "towels"), ("curtain", "curtains"), ("wall", "walls"),
                ("mat", "mats"), ("soap tray", "soap trays"),
            ],
            signs: ["+dirty", "+stained", "+sticky", "+full of rubbish", "+dusty", "+covered in mud"]),
        Category(
            name: "computers",
            things: [
                ("laptop", "laptops"), ("screen", "screens"), ("printer", "printers"),
                ("keyboard", "keyboards"), ("server", "servers"), ("scanner", "scanners"),
                ("router", "routers"), ("mouse", "mice"), ("projector", "projectors"),
                ("disk drive", "disk drives"),
            ],
            signs: [
                "+frozen", "will not boot", "+offline", "+out of toner", "+asking for a password",
                "+full of viruses",
            ]),
        Category(
            name: "telecom",
            things: [
                ("phone", "phones"), ("pager", "pagers"), ("headset", "headsets"), ("radio", "radios"),
                ("intercom", "intercoms"), ("handset", "handsets"), ("speaker", "speakers"),
                ("mobile", "mobiles"), ("bell", "bells"), ("fax line", "fax lines"),
            ],
            signs: [
                "will not ring", "+crackling", "+silent", "+without a dial tone", "+muted", "+dropping calls",
            ]),
        Category(
            name: "access",
            things: [
                ("door", "doors"), ("lock", "locks"), ("key", "keys"), ("gate", "gates"),
                ("badge", "badges"), ("hinge", "hinges"), ("alarm", "alarms"), ("safe", "safes"),
                ("camera", "cameras"), ("padlock", "padlocks"),
            ],
            signs: ["will not open", "+jammed", "+lost", "will not close", "+stuck shut", "+forced open"]),
        Category(
            name: "furniture",
            things: [
                ("chair", "chairs"), ("desk", "desks"), ("table", "tables"), ("shelf", "shelves"),
                ("drawer", "drawers"), ("sofa", "sofas"), ("bench", "benches"), ("stool", "stools"),
                ("cabinet", "cabinets"), ("coat rack", "coat racks"),
            ],
            signs: ["+wobbly", "+scratched", "+missing a leg", "+torn", "+too low", "+coming apart"]),
        Category(
            name: "catering",
            things: [
                ("lunch", "lunches"), ("meal", "meals"), ("sandwich", "sandwiches"),
                ("coffee", "coffees"), ("soup", "soups"), ("salad", "salads"), ("cake", "cakes"),
                ("tray", "trays"), ("juice", "juices"), ("fruit bowl", "fruit bowls"),
            ],
            signs: ["+undercooked", "+too salty", "+stale", "+not vegetarian", "+spoiled", "+served cold"]),
        Category(
            name: "grounds",
            things: [
                ("tree", "trees"), ("hedge", "hedges"), ("lawn", "lawns"), ("path", "paths"),
                ("fence", "fences"), ("flower bed", "flower beds"), ("bush", "bushes"),
                ("sprinkler", "sprinklers"), ("pond", "ponds"), ("branch", "branches"),
            ],
            signs: ["+overgrown", "+icy", "+dry", "+full of weeds", "+full of leaves", "+fallen over"]),
        Category(
            name: "transport",
            things: [
                ("lift", "lifts"), ("van", "vans"), ("bus", "buses"), ("truck", "trucks"),
                ("trolley", "trolleys"), ("ramp", "ramps"), ("bike", "bikes"), ("cart", "carts"),
                ("escalator", "escalators"), ("car", "cars"),
            ],
            signs: [
                "+stuck between floors", "+low on fuel", "has a flat tyre", "will not brake", "+late",
                "+overloaded",
            ]),
        Category(
            name: "supplies",
            things: [
                ("glove box", "glove boxes"), ("mask", "masks"), ("syringe", "syringes"),
                ("bandage", "bandages"), ("label", "labels"), ("bottle", "bottles"),
                ("paper pack", "paper packs"), ("gown", "gowns"), ("battery", "batteries"),
                ("test kit", "test kits"),
            ],
            signs: [
                "+used up", "+out of date", "+running low", "+not delivered", "+the wrong size",
                "+on back order",
            ]),
    ]

    /// Complaints that any category may use: with them only the thing tells the category.
    package static let sharedSigns = [
        "+broken", "+out of order", "needs a check", "+not right", "has a fault",
    ]

    /// Things that any category may use: with them only the sign tells the category.
    package static let sharedThings: [(one: String, many: String)] = [("unit", "units"), ("item", "items")]

    package static let urgencies: [[String]] = [
        // 1: can wait
        [
            "no rush", "whenever you can", "it can wait", "low priority", "next month is fine",
            "only if you have time",
        ],
        // 2: ordinary; the empty phrase says that an unmarked note is ordinary
        ["", "this week please", "normal priority", "in the next days", "please plan a visit", ""],
        // 3: urgent
        [
            "urgent", "right now please", "this is an emergency", "come at once", "top priority",
            "people may get hurt",
        ],
    ]

    package static let countWords = [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ]
    static let greetings = [
        "", "", "", "Hello,", "Hi team,", "Good morning,", "Night shift here:", "To whom it may concern,",
        "Me again:",
    ]
    static let closings = ["", "", "", "Thanks.", "Regards, Ana.", "Bye, Tom.", "Many thanks, Li."]
    static let times = [
        "", "", "since Monday", "since noon", "again", "for days", "as of today", "after the storm",
    ]
    static let areas = [
        "lobby", "east wing", "west wing", "hall", "office", "yard", "ward", "basement", "lab", "canteen",
    ]
}
