"""Word lists: what the rules know about English. Lower case throughout, unless a name says so."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that carry no subject: never an entity, never at the edge of a term, never compared.
STOP_WORDS = _words("""
a about above across after again against ago all almost alone along already also although always
am among an and another any anybody anyone anything anyway are aren't around as at away back be
became because become becomes been before began begin behind being below beside besides best
better between beyond both but by came can can't cannot come comes could couldn't did didn't do
does doesn't doing don't done down during each either else enough especially etc even ever every
everybody everyone everything everywhere except far few fewer first five for forth four from
further furthermore gave get gets getting give given gives go goes going gone got had hadn't has
hasn't have haven't having he hence her here hers herself him himself his how however i i'd i'll
i'm i've ie if in indeed instead into is isn't it it's its itself just keep kept last later latter
least less let let's like likely made mainly make makes making many may maybe me meanwhile might
mine more moreover most mostly much must my myself near nearly need neither never nevertheless
next no nobody none nor not nothing now nowhere of off often oh on once one ones only onto or
other others otherwise our ours ourselves out over own per perhaps put quite rather really said
same say says second see seem seemed seems seen sees several shall she should shouldn't since six
so some somebody someone something sometimes somewhat somewhere soon still such take taken takes
than that that's the their theirs them themselves then thence there there's thereby therefore
these they they're thing things third this those though three through throughout thus to today
together too took toward towards twice two under unless until up upon us use used uses using
usually various very via was wasn't way we we're we've well went were weren't what whatever when
whence whenever where whereas wherever whether which while who whoever whole whom whose why will
with within without won't would wouldn't yes yet you you'd you'll you're you've your yours
yourself eg vs cf ibid viz n.b e.g i.e
""")

# Words that say too little to begin or end a term of several words.
VAGUE_WORDS = _words("""
able available bad based big certain clear close common complete considerable current currently
different difficult early easily easy entire equivalent example examples exactly existing extra
fact famous final former free full fully general good great half hard high huge ill important
impossible inside interesting kind kinds known large largely late legal little local long lot lots
low main major mere merely minor modern name named names necessary new nice non normal number
numbers obvious old older only open original originally outside part particular parts people
person place point points popular possible previous probably proper quick real recent recently
related relevant right self serious short similar simple simply single small so-called sort sorts
special specific standard strong sure term terms time times true type types typical typically
unique useful usual version way ways wide widely word words wrong year years day days week weeks
month months hour hours thousand million hundred dozen end ends start starts set sets case cases
form forms use users user want wants wanted work works working worked called call calls think
thought know knows mean means meant look looks looked find found try tried run running ran show
shows shown write written wrote tell told ask asked become include includes including included
require required allow allows allowed cause causes caused lead leads led follow follows following
followed contain contains contained provide provides provided help helps refer refers referred
consider considered describe described happen happens happened believe believed claim claims
claimed turn turned leave left hold held bring brought add added change changed gain gains newer
older younger larger smaller historical modern
""")

# Capitalised by the rules of spelling, not because they name something worth keeping.
CALENDAR = _words("""
january february march april may june july august september october november december jan feb mar
apr jun jul aug sept sep oct nov dec monday tuesday wednesday thursday friday saturday sunday mon
tue tues wed thu thur thurs fri sat sun christmas easter am pm bc ad
""")

# Peoples and languages: adjectives more often than subjects.
DEMONYMS = _words("""
african american arab arabic asian australian austrian belgian brazilian british canadian chinese
czech danish dutch egyptian english european finnish french german greek hebrew hungarian indian
iranian irish israeli italian japanese korean latin mexican norwegian persian polish portuguese
roman romanian russian scandinavian scottish soviet spanish swedish swiss turkish ukrainian
vietnamese welsh western eastern northern southern
""")

# Openings that mark no name though they are capitalised.
OPENERS = (
    STOP_WORDS
    | CALENDAR
    | _words("""
according additionally apparently archetypal beware compare consequently consider conversely
currently early eventually finally formerly fortunately generally hence historically ideally
imagine initially interestingly legend luckily note nowadays observe occasionally oddly older only
originally particularly people possibly presumably previously probably real recall recent recently
remember reportedly roughly sadly said similarly simply strictly suddenly suppose supposedly
surprisingly technically think today traditionally true typically ultimately unfortunately usually
worse yesterday young younger sense well-known chapter section figure table appendix page volume
part edition
""")
)

# Titles of documents and sections that name no subject.
SECTION_TITLES = _words("""
abstract about acknowledgements acknowledgments appendix background basics bibliography changelog
changes conclusion conclusions contact contents contributing copyright credits details discussion
documentation examples example faq features foreword further general glossary guide help history
home index installation introduction intro licence license links list main manual method methods
more misc miscellaneous motivation notes note options other outline overview preface problem
questions quickstart readme reading references related requirements result results see setup
source sources summary support synopsis test tests text title toc todo tutorial untitled usage
document doc file page draft final report data input output new copy
""")

HONORIFICS = _words("""
mr mrs ms miss dr prof professor sir lord lady president king queen prince princess emperor
general colonel captain lieutenant major sergeant admiral senator governor judge justice pope
saint st rev reverend father chancellor minister secretary
""")

GIVEN_NAMES = _words("""
aaron abraham adam adrian agnes alan albert alex alexander alexandra alfred alice allen amanda amy
andrea andreas andrew andy angela ann anna anne anthony antonio arthur barbara barry ben benjamin
bernard bert betty bill bob bobby brad brenda brian bruce bud carl carla carlos carol caroline
catherine cathy charles charlie charlotte chris christian christina christine christopher claire
claude cliff clifford craig cynthia daniel danny dave david dean deborah dennis diana diane dick
don donald donna dorothy doug douglas earl ed eddie edgar edith edmund edsger edward edwin elaine
eleanor elizabeth ella ellen emily emma enrico eric erik ernest esther eugene eva evelyn felix
ferdinand florence frances francis franco frank franz fred frederick friedrich gabriel gary geoff
geoffrey george gerald gerard gertrude gilbert gloria gordon grace graham greg gregory guido
gustav guy hal hannah hans harold harriet harry harvey heather heinrich helen henri henry herbert
herman howard hugh hugo ian ida ingrid irene isaac isabel ivan jack jacob jacques jake james jamie
jan jane janet jason jay jean jeff jeffrey jennifer jeremy jerome jerry jessica jill jim jimmy
joan joe joel johann johannes john johnny jon jonathan jordan jose joseph joshua joyce juan judith
judy julia julian julie julius justin karen karl kate katherine kathleen keith ken kenneth kevin
kim kurt larry laura lawrence lee leo leon leonard leonardo leslie lewis linda linus lisa louis
louise lucas lucy ludwig luigi luis luke lynn marc marcel marco marcus margaret maria marie
marilyn mario marion marjorie mark martha martin marvin mary mel matthew maurice max melissa michael
michel michelle miguel mike mildred milton mitch monica morris nancy nathan neil nicholas nick
nicolas nicole niels nigel nikola noah noam nora norbert norman olga oliver oscar otto owen pablo
pamela pat patricia patrick paul paula pauline pedro peggy penny percy peter phil philip phillip
pierre rachel ralph randy ray raymond rebecca rene rich richard rick rob robert roberta robin rod
rodney rube heath bjarne niklaus donald alonzo grady ada barack angus ivar guglielmo roger roland
ron ronald rosa rose ross roy rudolf russell ruth ryan sally sam samuel sandra sara sarah scott
sean sebastian sergei seymour sharon sheila shirley sidney sigmund simon sophie spencer stan
stanley stefan stella stephanie stephen steve steven stewart stuart sue susan sylvia ted teresa
terry theodore theresa thomas tim timothy tina todd tom tommy tony tracy trevor ursula valerie
vera vernon veronica victor victoria vincent viola virginia vladimir walter wanda warren wayne
wendy werner wilfred wilhelm will william willie winston wolfgang yvonne
""")

PLACES = _words("""
africa america antarctica asia australia austria belgium brazil britain bulgaria california canada
chicago chile china colombia colorado connecticut croatia cuba denmark egypt england estonia
ethiopia europe finland florida france georgia germany ghana greece hawaii hungary iceland
illinois india indiana indonesia iran iraq ireland israel italy jamaica japan jordan kansas
kentucky kenya korea latvia lebanon lithuania london louisiana luxembourg maine malaysia maryland
massachusetts mexico michigan minnesota mississippi missouri montana morocco moscow nebraska nepal
netherlands nevada nigeria norway ohio oklahoma ontario oregon pakistan palestine paris
pennsylvania peru philippines poland portugal prussia quebec romania rome russia scandinavia
scotland serbia siberia singapore slovakia slovenia spain sweden switzerland syria taiwan
tennessee texas thailand tibet tokyo tunisia turkey uganda ukraine u.k u.s u.s.a uk usa utah
venezuela vermont vietnam virginia wales wisconsin wyoming yugoslavia zimbabwe amsterdam athens
atlanta baltimore barcelona beijing berkeley berlin bonn boston brussels budapest cairo cambridge
copenhagen dallas delhi detroit dublin edinburgh frankfurt geneva glasgow hamburg helsinki houston
istanbul jerusalem kiev kyiv leningrad lisbon liverpool manchester melbourne miami milan montreal
mumbai munich naples oslo oxford philadelphia pittsburgh prague princeton pasadena seattle
shanghai stockholm sydney toronto venice vienna warsaw washington zurich
""")

# Well-known names of several words.
PLACE_PHRASES = frozenset({
    "new york", "new york city", "new jersey", "new mexico", "new zealand", "north america",
    "south america", "south africa", "south korea", "north korea", "great britain", "hong kong",
    "los angeles", "san francisco", "san diego", "silicon valley", "soviet union", "united kingdom",
    "united states", "saudi arabia", "sri lanka", "washington d.c", "middle east", "palo alto",
    "czech republic", "costa rica", "puerto rico", "rio de janeiro", "st petersburg",
})  # fmt: skip

ORGANIZATIONS = _words("""
acm adobe airbus amazon amd apache apple arpa at&t bbc bbn bmw boeing caltech cern cia cmu cnn
cray darpa dec ebay epa facebook fbi fda fedex fifa ford fsf google harvard hewlett-packard
hitachi honda honeywell ibm ieee ietf imf ing intel interpol irs iso kgb lotus microsoft mit
mozilla nasa nato nec netscape nokia novell nsa nsf oecd openai opec oracle parc philips pixar
rand rca samsung sap sco siemens sony sri stanford toshiba toyota twitter ucb ucla un unesco
unicef univac usaf volkswagen w3c wikimedia wikipedia who wpi xerox yale yahoo cbs abc nbc eff
gchq
""")

# A name that ends so is a company's.
COMPANY_ENDINGS = _words("""
ag brothers co communications electronics enterprises gmbh holdings industries instruments labs
laboratories motors partners pharmaceuticals plc robotics sa semiconductor software solutions spa
systems technologies
""")

TECHNOLOGIES = _words("""
ada aix algol android ansible apl arpanet ascii asp assembler awk bash basic bcpl bitcoin bitnet
blockchain bluetooth bsd c c# c++ centos cobol css debian django docker dos emacs ethernet excel
fedora firefox flask fortran freebsd ftp gcc git gnome gnu gopher gps grep haskell hdmi html http
https hypercard imap intercal ios ipv4 ipv6 irix java javascript json jvm kde kotlin kubernetes
lan latex linux lisp llvm lua macos matlab ml minix mosaic mqtt ms-dos multics mysql netbsd nfs
nginx nosql numpy ocaml openbsd opengl openssl pascal pdf perl php posix postgresql postscript
prolog python r react redis risc rtf ruby rust sass scala scheme sed simula smalltalk smtp solaris
sparc sql sqlite ssh ssl sunos svg swift symbian tcp teco telnet tensorflow tex tls troff
typescript ubuntu udp ultrix unicode unix url usb usenet utf uucp vi vim vms vpn wan webkit wi-fi
wifi windows www x11 xml yaml
""")

# The last word of a name, or the noun that a sentence calls it by (in singular) -> what it is.
NOUN_TYPES: dict[str, str] = {
    noun: type_
    for type_, nouns in {
        "Person": """
            actor admiral artist author biologist chemist composer co-author co-founder cofounder
            designer developer director economist emperor engineer founder grandfather hacker
            historian inventor journalist king lawyer leader linguist mathematician musician
            novelist officer painter philosopher physicist pioneer poet politician president
            professor programmer psychologist queen researcher scientist singer student teacher
            writer
        """,
        "Organization": """
            academy agency airline army association authority band bank board brigade bureau cabal
            church club college commission committee company congress conservatory consortium
            cooperative corp corporation council court department enterprise faculty federation
            firm foundation gmbh government group guild hospital inc incorporated industry
            institute institution laboratory lab league limited llc ltd ministry movement museum
            navy office orchestra organisation organization parliament partnership party plc
            police press school senate society startup subsidiary team union university vendor
        """,
        "Location": """
            airport avenue bay beach bridge capital castle city coast continent country county
            desert district forest gulf harbor harbour hill island kingdom lake mountain ocean
            park peninsula port province region river sea square state street town valley village
            volcano
        """,
        "Event": """
            accident anniversary attack battle campaign celebration ceremony championship
            conference conquest contest convention coup crisis cup disaster earthquake election
            event exhibition expedition famine festival incident invasion meeting olympic
            outbreak protest rebellion renaming revolt revolution riot siege strike summit
            symposium tournament treaty uprising war workshop
        """,
        "Document": """
            act agreement article bible bill book charter code-of-conduct constitution decree
            dictionary directive encyclopedia encyclopaedia essay gazette guide guideline handbook
            journal law lecture letter magazine manifesto manual memo memoir memorandum newspaper
            newsletter novel pamphlet paper patent poem preprint publication quarterly report
            review rfc specification story textbook thesis treatise whitepaper
        """,
        "System": """
            architecture framework grid infrastructure internet mainframe network os platform
            supercomputer system ecosystem cluster web
        """,
        "Technology": """
            algorithm api application assembler browser bus cable chip cipher codec compiler
            computer console cpu database daemon debugger device disk display driver editor
            emulator encoding engine filesystem font format formatter gadget hardware instrument
            interface interpreter kernel keyboard language laser library linker machine memory
            microprocessor middleware minicomputer modem monitor motor operating-system package
            parser plugin printer processor program protocol prototype router runtime satellite
            script sensor server shell simulator software spreadsheet standard switch syntax
            technology telescope terminal tool toolkit transistor typesetter utility virus
            workstation worm
        """,
        "Product": """
            album aircraft app automobile brand camera car drug edition film game line movie opera
            product series show smartphone song symphony toy vehicle version
        """,
        "Process": """
            analysis calculation calibration classification collection compilation compression
            computation construction conversion debugging deployment detection development
            encryption evaluation evolution execution experiment fermentation generation
            installation integration iteration manufacturing measurement method migration
            operation optimisation optimization photosynthesis planning procedure process
            processing production programming recognition recovery reduction refactoring
            reproduction routing scheduling segmentation simulation sorting synchronisation
            synchronization synthesis technique testing training transformation transmission
            validation verification workflow
        """,
    }.items()
    for noun in nouns.split()
}  # fmt: skip
