"""Cues of invented claims in English texts, one pattern for each kind; `claims.py` tells what they are for."""

from promolift.message.names import any_of

# What a thing is made of, how and where, and what it can do.
QUALITY = any_of(r"""
    \b(?:water|wind|rain|rust|leak|spill|stain|scratch|shock|child|dust|sweat|crease|wrinkle|odou?r|fade|tear|pet|fire
        |oven|dishwasher|microwave|freezer|skid|slip|shatter|bullet|splash)[- ]?(?:proof|resist\w*|repell\w*|safe)
    \b(?:anti|hypo|non|multi|ultra|nano|quick|fast)-\w+|\bwater-?tight\b|\bbreathab\w+|\bnon-?(?:stick|slip|toxic
        |iron)\w*
    \b(?!care|hassle|worry|stress|fuss|trouble|guilt|hands|scot|screen|effort)\w+-free\b
    \bwithout (?:any )?(?:additives|preservatives|sugar|silicones?|parabens?|chemicals|cables)
    \b\w+-(?:tested|grade|certified|approved|rated|quality|reviewed|loved|friendly|enriched|infused|powered|rich)\b
    \bhypo-?allergenic|\ballerg\w+|\bfragrance|\bscented\b|\bparabens?\b|\bsilicones?\b|\badditives?\b
        |\bpreservatives?\b
    \b(?:half|less|low|zero|no|twice|more) (?:the )?(?:fat|sugar|salt|calories|carbs|caffeine|acid)\b|\borganic\w*
        |\bvegan\b|\bnatural(?:ly)?\b|\bbiodegrad\w+|\brecycl\w+|\bsustainab\w+|\beco\b|\bplant-based
        |\bnon-gmo
    \bhand[- ]?(?:made|woven|crafted|picked|stitched|sewn|knit\w*|roasted|poured|painted|finished|tied|cut|blended
        |rolled)\b
    \bartisan\w*|\bcrafts?(?:ed|man\w*)\b|\bsmall[- ]batch|\bsingle[- ](?:origin|estate|source)|\bsourced\b
        |\bimported\b
    \b(?:made|woven|crafted|built|grown|harvested|picked|roasted|brewed|baked|designed|engineered|formulated
        |manufactured
        |produced|tested|inspected|seasoned|stitched|spun|knitted|sewn|tailored|fitted|equipped|packed|loaded|bursting
        |enriched|infused|lined|powered) (?:in|from|by|with|of|to last|at|for|on|to order|locally|entirely|under|this
        |every|each|today|yesterday|daily|above)\b
    \b(?:freshly|newly|locally|carefully|specially|expertly|ethically|sustainably|responsibly|individually|clinically
        |scientifically|precision|custom|expert)[- ]\w+(?:ed|en|wn|ade|ught|own|tuned)\b
    \bfresh(?:ly)? (?:from|picked|off the|out of the (?!oven)|squeezed|every|daily)|\bfarm\b|\bharvest\w*
        |\bfrom concentrate
    \b(?:recipe|formula\w*|ingredients?|vitamins?|proteins?|fib(?:re|er)s?|calori\w+|minerals?|antioxidants?|omega\w*
        |probiotic\w*|nutri\w+|wholesome\w*|calcium|magnesium|caffeine|collagen|keratin|retinol|aloe|electrolytes?)\b
    \b(?:technolog\w+|patent\w*|ergonom\w*|adjustab\w+|dimmable|rechargeabl\w+|foldabl\w+|washable|durab\w+|sturd\w+
        |robust|hardwear\w*|long[- ]lasting|lightweight|feather\w+|ultralight|frames|stretchy|stain-\w+|scratch-\w+
        |flicker\w*
        |waterproof\w*|weatherproof|insulat\w+|reinforced|cushion(?:ed|ing)|padded|memory foam|fleece-lined|grippy
        |soles?
        |non-?slip|noise[- ]?(?:cancel\w*|reduc\w*|isolat\w*)|battery|bass|megapixel\w*|hi-?res|lossless
        |processor|chip|sensor|lumens?|watts?|thread count|organic|genuine|authentic|certificat\w*|certif\w+)\b
    \b(?:memory|stainless|titanium|carbon|merino|cashmere|bamboo|gore-?tex|aluminium|aluminum|graphene|ceramic|velvet
        |pure (?:silk|wool|cotton|linen|leather)|real leather|genuine|egyptian|belgian)\b
    \b(?:high|top|superior|premium|finest|great|better|best|unbeatable|outstanding|excellent|exceptional|studio|hotel
        |restaurant|salon|barista|military|professional|pro|spa|gallery|museum)[- ](?:quality|grade|level|standard
        |style)
    \bquality\b|\bpremium\b|\bluxur\w+|\bstate[- ]of[- ]the|\bcutting[- ]edge|\badvanced\b|\binnovat\w+
        |\bnext[- ]gen\w*
    \b(?:now|new|improved|upgraded|redesigned|reformulated|even|extra) (?:with (?!an?\b|\d)|and improved|formula
        |recipe|version|design
        |packag\w+|look|collection|generation|creamier|softer|longer|stronger)\b|\bimproved\b|\bupgraded\b
        |\bredesigned\b
    \b(?:creamier|tastier|fresher|crunchier|stronger|longer-lasting|sturdier|healthier|purer|richer|clearer|crisper
        |shinier|silkier|thicker|smoother|younger|firmer)\b
    \bpolari[sz]ed\b|\blens(?:es)?\b|\buv\b|\bunbreakable\b
    \ue000+ (?:with|featuring|including) (?!(?:an? |your |any |every |the (?:whole |entire )?)?(?:[$€£¥\d]|min
        |max|\w+-(?:dollar|euro
        |pound|yuan)|family|friends?|guests?|someone|company|those|one|two|spend|purchase|order|total|basket|discount
        |saving|coupon|code|voucher|\w+ percent|price|this|us\b|name|fifth|quarter|third|half|free|no\b|love|ease|eur
        |usd|rmb|cny))
    \badded (?:sugars?|salt|water|fats?|colou?rs?|flavou?rs?|preservatives|sweeteners?|chemicals|hormones|oils?
        |nasties)\b
        |\b(?:sugar|salt|gluten|lactose|dairy|fat|caffeine|alcohol)[- ](?:in (?:it|them)|inside|was added
        |has been added)\b
    \bcrystal[- ]clear\b|\brich (?:in|bass)\b|\bhigh (?:in|fidelity)\b|\bfull of (?:fib|vit|prot|nutr)\w+
        |\bpacked with\b
    \b(?:italian|french|swiss|german|japanese|scottish|english|irish|belgian|spanish|greek|danish|swedish|nordic
        |turkish
        |colombian|ethiopian|brazilian|kenyan|californian|korean|thai|australian|icelandic|peruvian|alpine|highlands?)
        \s(?:\w+ )?(?:made|chefs?|wool|quality|engineering|craft\w*|design\w*|beans?|flax|steel|artisans?|mills?|style
        |farms?|growers?|recipe|brand|mountains|village|famil\w+|masters?|islands?|cotton|leather|silk)\b
    \b(?:the|scottish) highlands\b|\b(?:italy|france|japan|switzerland|germany|scotland|colombia|ethiopia|brazil)\b
    \bsets? up in\b|\bin (?:seconds|under|just)\b|\bone[- ](?:touch|click|tap|hand)\b|\bpop-?up\b|\bno (?:tools?
        |instructions
        |assembly|ironing|drilling|setup)\b|\bkeeps? (?:you |your \w+ |out |water |rain )?(?:dry|out|warm all
        |cool all)\b
    \bblocks? out\b|\b(?:stays?|keeps?) (?:sharp|fresh|crisp|soft|dry|put|in place|its shape|their shape) (?:for|all
        |after)
    \b(?:lasts|(?:it|they|will|can|that|you) last|runs?|plays?|lasting|good) (?:for )?(?:up to |over |all |a (?:whole
        |full) )?(?:\w+ )?(?:hours|days|weeks
        |months|years|lifetime|seasons|all (?:day|night|week))\b|\bbuilt to\b|\bmade to (?:last|measure|order)\b
        |\bholds? (?:its|their|up)\b
    \b(?:never|won't|doesn't|don't) (?:fade|shrink|leak|pill|slip|tangle|rust|break|itch|crease|wrinkle|run|stick
        |dry)\w*
    \b(?:real|actual|100 percent|pure|genuine|whole|freshly) (?:fruit|oats|wool|leather|cocoa|oranges?|ingredients
        |milk)\b
    \b(?:two|three|four|five|six|seven|eight|nine|ten|many|several|dozens of|countless|every) (?:\w+ )?(?:colou?rs
        |sizes
        |flavou?rs|settings|levels|modes|layers|shades|styles|designs|models|varieties)\b
""")
# Who praises it, how many have it, what it won.
PRAISE = any_of(r"""
    \b(?:dermatolog|p(?:a)?ediatric|nutrition|diet(?:it|ic)|ophthalm|orthop|podiatr|pharmac|cardio|hygien|audiolog)\w*
    \b(?:doctors?|dentists?|physicians?|vets?|veterinar\w+|nurses?|midwi\w+|hairdressers?|stylists?|baristas?|chefs?
        |sommeliers?|athletes?|experts?|professionals?|pros|editors?|critics?|reviewers?|testers?|influencers?
        |celebrit\w+
        |bloggers?|scientists?|researchers?|engineers?|guides|coaches|trainers|audiophiles?|producers|insiders?
        |specialists?
        |magazines?|hikers everywhere|barbers?|mountaineers)\b
    \b(?:approv(?:e[sd]?|al)|recommend\w*|endors\w+|swears? by|vouch(?:es|ed)? for|rav(?:e[sd]?|ing)|prais\w+
        |applaud\w*|adore[sd]?
        |trust(?:s|ed)?|rel(?:y|ies|ied) on|reach(?:es)? for|prefer(?:s|red)?|acclaim\w*|hail(?:s|ed)|admire\w*
        |obsess\w*
        |rated|rating|ranked|review(?:s|ed)?|voted|awards?|award-?win\w*|winner\w*|prize\w*|medal\w*|nominat\w*
        |accolades?
        |testimonials?|five-star|(?<!the )(?<!of )stars)\b
    \b(?:(?:best|top)-?\s?sell\w*|popular\w*|famous|renowned|iconic|legendary|celebrated|in demand|must-have|trend\w*
        |viral
        |hype\w*|buzz|talk of the|hit product|beloved|well-loved|much-loved|crowd-pleas\w+|fan favou?rites?
        |signature)\b
    \b(?:customers?|shoppers?|readers?|people|families|famil(?:y|ies)|parents|buyers?|users?|fans|owners|neighbou?rs?
        |folks|runners
        |hikers|campers|climbers|readers|cats|dogs|kids|pets|everybody|everyone|thousands|millions|locals|regulars
        |others)
        \s(?:everywhere |alike |all |always |already |just |now |keep |can't |say |agree |\w+ ){0,2}(?:lov(?:e[sd]?
        |ing)|say|says
        |said|agree[sd]?|choose[sn]?|chose|pick(?:s|ed)?|swear|buy|buys|bought|want|wants|ask|asking|come back|return
        |keep
        |call|prefer|enjoy(?:ed|s)?|use[sd]?|finish(?:es|ed)?|can't|ordered|order|snapped|grabbed|wear|wears
        |switch\w*)\b
    \b(?:most|many|half|majority|all|every|thousands|dozens|hundreds|millions|lots|plenty|countless
        |\ue005%) (?:of )?(?:our |the
        |them )?(?:customers?|shoppers?|people|families|buyers?|users?|readers?|parents|homes|kitchens|households|cats
        |dogs)\b
    \bout of (?:ten|five|four|every|\d+)\b(?! parts)|\bin (?:ten|five|four|\w+teen|thirty|\w+ty) (?:countries|cities
        |homes|states)
    \b(?:a|the|your|our|every) \w*(?: \w+)? favou?rite\b(?=[^.!?]{0,9}(?:\ue000|in town|among|with|of)|\W*\ue000)
    \b(?:america|china|britain|europe|nation|country|world|city|town|family|customer|staff|team|crowd
        |community)'?s? favou?rites?
    \b(?!yours|us|this|these|those|always|perhaps|sometimes|days|evenings|mornings|weekends|nights|let's|ours|others)[a-z]{3,}(?:s|men|women|ople|ids)
        (?: \w+ly| all| already| now)? (?:wear|use|drink|eat|carry|pack|choose|own|play|ride|buy|order|sleep in
        |live in|cook with|train in
        |work in|run in|climb in|brew|pour|serve|sell out) (?:them|it|these|ours|nothing else|no other|the same)\b
    \b(?:everybody|everyone|half (?:the|of|your) \w+|the (?:whole|entire) \w+|all of \w+|your (?:whole
        |entire) \w+)(?: (?:in|on|at|of|from)\s
        (?:\w+ ){1,3}|\s)(?:already|now|also|secretly) (?:owns?|has|have|wears?|carr(?:y|ies)|wants?|loves?
        |bought|uses?|drinks?)\b
        |\b(?:everybody|everyone)(?: \w+){0,4} (?:owns?|wears?|carries|swears)\b
    \bas (?:worn|used|seen|served|chosen|featured|loved|recommended|played|heard) (?:by|in|on|at)\b|\bword of mouth\b
        |\bas seen (?:on|in)\b|\bfeatured (?:in|on)\b|\b(?:already|have|has|we've|been) (?:\w+ )?sold\b
    \bsold (?:over|more|out|\w+ thousand|by the|its|\d|ten)|\bsales of\b|\bflying off\b|\bfly off\b|\bcan't stop\b
    \bspeaks? for itself\b|\bgold standard\b|\bgo-to (?:of|for)\b|\bchoice (?:of|for) (?!you\b)|\bpride of\b
        |\bhouse special\w*
    \bstaff pick|\beditor'?s|\bcult (?:classic|following)|\bever(?:y|yone)'?s talking|\bnumber 1\b|\bbuyers? (?:return
        |come)
""")
# How much is left and how long it lasts, where no date says so.
STOCK = any_of(r"""
    \b(?:remain(?:s|ing)?|left) (?:in (?:stock|our|the (?:shop|store|warehouse))|only|at)\b|\b(?:pairs|units|pieces
        |bottles|bags|items|copies|sets
        |jars|boxes|tents|spots|seats|sizes|colou?rs|packs|places|stocks?|supplies|quantities|shelves|inventory)
        \s(?:\w+ )?(?:remain\w*|left|vanish\w*|are|is|go|going|disappear\w*|run\w*|sell\w*|dwindl\w*|won't|empt\w+
        |limited)\b
    \b(?:down to|last|final) (?:a |the |our )?(?:handful|few|couple|dozen|two|three|four|five|six
        |seven|eight|nine|ten|\d+|last|remaining)(?: \w+)? (?:remain\w*|left|pairs?|units?|pieces?|bottles?|bags?
        |sizes?|tents?|boxes|packs?
        |copies|sets?|jars?|in stock|to go|available|pallets?|batch\w*)\b|\bonly a (?:handful|few)\b|\blast (?:few
        |ones|pairs?|batch|of the)\b
    \b(?:vanish|disappear|dwindl)\w* (?:fast|quick\w*|soon)|\bgo(?:es|ing)? (?:fast|quickly)\b|\b(?:sell|sold|run
        |snapp|walk)\w* (?:out|up fast)\b
    \b(?:no|not|won't|never|isn't|until (?:we|the next)) (?:be )?(?:\w+ )?re-?stock\w*|\bin (?:limited
        |short) (?:supply|stock|numbers)
    \bscarce\b|\brare(?:ly)?\b|\bstock(?:s)? (?:is|are|levels?|won't|running|up to)\b|\bin stock\b|\bwhile (?:they|it
        |stocks?)\b|\bwarehouse\b
    \bbefore (?:they|it|these|we|everyone|someone|your size)(?:'re| are| is|'s)? (?:gone|sell|run|go|all|else|snap
        |take)\w*|\bfirst (?:come|to|hundred|fifty|\d)
    \ball gone\b|\bonce (?:it's|they're|they are|it is) gone\b|\bdon't hang about\b|\bblink and\b|\bone of a kind\b
""")
# More than the offer gives.
GIFT = any_of(r"""
    \b(?:comes?|come along|ships?|arrives?|packed|paired|bundled) (?:along )?with (?:an? |every|each|free|two|our|a )
        |\bcomes? along\b|\bcomes? (?:in|with) (?:a|an|every|each)\b
    \bfree (?!shipping|delivery|postage|of|to|until|through|till|by\b|from|for|on|when|if|and|with no|across|no|at\b
        |in\b|as\b|\d|\ue004|as a|afternoon|hour|evening|morning|day|weekend|moment|minute|time|hand)\w+
    \b(?!shipping|delivery|postage|it\b|that\b|this\b)[a-z]+(?:'s| is| are) on us\b|\b(?:part of|included in
        |in) the (?:price|box|fare)\b|\bas standard\b
    \b(?:on the house|for nothing|for free|at no (?:extra |additional )?(?:cost|charge)|free of charge|gratis
        |thrown? in|throw(?:ing|s)? in|tossed? in|complimentary)\b
    \b(?:bonus|freebie|giveaway|surprise|mystery|(?<=[a-z] )goodie|sample|tester|trial|tote|keychain
        |sticker)s?\b(?! (?:yourself
        |someone|mum|dad|mom|guests?|visit\w*))
    \b(?:get|receive|claim|collect|choose|pick|enjoy|win|earn)s? (?:a |an |your |another |one )(?:\w+ ){0,2}(?:gift
        |present|voucher|mug|bag|case|set)\b(?! for)
    \b(?:gift|present) (?:with|included|inside|for every|comes|awaits|box|card|wrap\w*|when|on (?:us|top))|\b(?:a|your
        |free|small|little) gift (?:from us|is|awaits|waits|on)
    \b(?:with|includes?|including|plus) (?:a |an |two |matching |free )(?:\w+ )?(?:case|pouch|bag|mug|towel|brush|comb
        |charger|cable|cover|box|strap|pump|bottle|tote|hat|pair|scarf|blanket|filter|spoon|bowl|keyring|mat|lamp|bulb
        |set|socks)\b
    \b(?:points?|cash-?back|loyalty|(?<=[a-z] )rewards?(?! yourself)|rebates?|store credit|stamps?|miles
        |air miles|credit(?:s)? (?:for
        |toward\w*))\b(?! me\b)
    \b(?:returns?|exchanges?|refunds?|repairs?|warrant\w+|guarant\w+|money[- ]back|insur(?:ed|ance)|replacement
        |swap (?:it|them)|no questions|send (?:it|them) back|try (?:it|them) (?:at home|first
        |for))\b(?=\W*(?:\w+ )?(?:accepted|welcome|are|policy|free|within|included|period|promise|if|\d|day|until|for
        |[,.!;:)]|$|on us|guarantee|it|asked|back))
    \b(?:free|easy|no-fuss|simple|hassle-free|extended|thirty-day|lifetime|day|year|-day|-year|two-year
        |full)[- ](?:returns?|warranty|guarantee|refunds?|exchanges?|trials?)\b
    \b(?:two|three|four|buy one|bogo|second|another|extra|additional|further)[- ](?:for one|for the price|get one|item
        |pair|one|bottle|piece|\d|\w+ percent|discount|savings?|off|markdown|reduction|voucher|coupon)\b
    \b(?:wrap(?:ped|ping)? (?:free|included|for)|gift-?wrap\w*|engrav\w+|monogram\w*|personali[sz]\w+|alteration\w*
        |fitting|installation|setup|assembly) (?:is|are|at|for|free|included|service|on)\w*
    \b(?:coupon|voucher|credit|code|something|discount)s? (?:off|on|for|toward|towards|from) your next\b
        |\bprize draw\b|\blottery\b|\braffle\b|\binstal?ments?\b|\binterest[- ]free\b|\bpay (?:later|in)\b
        |\bno interest\b
    \b(?:we'll|we will|and we|we) (?:also|even|add|include|plant|donate|give you|send you)\b|\bdonat\w+|\bcharity\b
        |\bplant a tree\b
""")
DELIVERY = any_of(r"""
    \borders? (?:placed )?(?:before|by) (?:noon|\d|midday|midnight)|\bleaves? (?:our|the (?:same|warehouse)|today
        |within)\b|\bsame (?:afternoon|evening|morning|week)\b|\btrade-?ins?\b
    \b(?:same|next|two|one)[- ]day\b|\bovernight\b|\bexpress\b|\bby tomorrow\b|\btomorrow (?:morning|at your door)
        |\b(?:arriv|deliver|ship|dispatch|land|get)\w*(?: \w+){0,3} (?:within|by (?:the )?(?:weekend|noon|mon|tues
        |wednes|thurs|fri|satur|sun)|in (?:two|three|one|a|an|under|\d+)|by tomorrow|tomorrow|the same day
        |the next day|today|overnight|in hours|within hours)\b
    \bfast(?:er)? (?:delivery|shipping|dispatch)|\b(?:speedy|swift|quick|rapid|lightning|priority) (?:delivery
        |shipping|dispatch|despatch)\b|\bdoor(?:step)? (?:tomorrow|overnight|today
        |(?:in|within|by) (?:\w+ )?(?:hour|day|tomorrow|minute)s?)
    \bwithin (?:\w+[- ])?(?:\w+ )?(?:hours?|days?|minutes?)\b|\bworldwide\b|\b(?:overseas|abroad|internationally
        |islands) (?:too|as well|included|also)\b|\binternational shipping|\bwhite[- ]glove\b|\btracked\b|\bcourier\b
""")
# What it cost before or elsewhere, and how seldom it is so cheap.
HISTORY = any_of(r"""
    \b(?:once|twice)[- ](?:a|in a|per)[- ]\w+|\b(?:first|only|last|second) (?:time|sale|discount|offer) (?:this|all|of
        |in|ever|we)\b|\bthis (?:year|season|decade)'s (?:best|only|biggest|lowest|last|first)
    \b(?:lowest|low(?:er)?|deep(?:er|est)?|big(?:ger|gest)|steep\w*|larg(?:er|est)|high(?:er|est)|best|cheap(?:er|est)
        |sharp\w*|great(?:er|est)) (?:price|prices|discount|sale|saving|savings|offer|cut|deal|value|ever|all
        |reduction)s?\b
    (?<=[a-z] )(?:ever|yet|in (?:years|months|ages|history|a decade|living memory)|all (?:year|season)
        |(?<!end )(?<!day )(?<!rest )(?<!month )(?<!night )(?<!morning )(?<!weekend )of the (?:year|season|month
        |decade|century)|since (?:we opened|last|\d|launch))\b(?=[^a-z]*(?:\ue000|[.,;:!?()-]|$))
    \b(?:never|not|rarely|seldom|won't|don't|haven't)\b[^.!?,;]{0,24}\b(?:lower|cheaper|less|again|this (?:low|good
        |cheap|much)|before|discount\w*|repeat\w*|come back|priced|go(?:es)? on sale|see)\b
    \bthan (?:last|any|ever|elsewhere|anywhere|usual|before|other|others|the (?:rest|others|competition|supermarket
        |shop|store|big)|amazon|our|at|online|in|most|your usual|you'll find)\b
    \b(?:rival|competitor|compet\w+|elsewhere|anywhere else|other (?:shops|stores|brands)|supermarkets?
        |high street)\w*|\bprice[- ]match\w*|\bbeats? (?:any|the|every|them|all)\b|\bcheapest\b|\bundercut\w*
    \b(?:clearance|liquidation|closing[- ]down|closeout|warehouse sale|factory (?:price|outlet)|cost price|at cost
        |below cost|wholesale|trade price|end[- ]of[- ]line|outlet|overstock|annual (?:sale|event)|anniversary
        |grand opening|blowout|doorbuster|black friday|cyber)\b
    \b(?:the|our|my) (?:only|one|first|last) (?:sale|discount|offer|chance|time)\b|\bhalf what\b|\ba fraction of\b
        |\bworth (?:twice|double|every)|(?:is|are|they're|it's) worth (?:over|more|\$|¥|€)|\bpays? for itself\b
        |\b(?:price|cost)s? (?:will|is going|are going|is set|goes|go|rise|double)\b|\bunheard[- ]of\b
        |\bonce[- ]only\b|\bone[- ]time[- ]only\b|\bone[- ]off\b
""")
# Whom it is for, where the offer is for everybody.
WHO = any_of(r"""
    \b(?:members?|membership|subscribers?|vips?|loyal(?:ty)?|insiders?|club|app users?|registered|signed[- ]up
        |enrolled|newsletter)\b(?! (?:the|of the household))
    \b(?:only|solely|strictly|alone|just) (?:for )?(?:(?:a |our )?(?:chosen|select\w*|few|lucky)|students|teachers
        |seniors|nurses|parents|locals|you (?:are|get|can|have|will)|for (?:our|those|people|customers|new))\b
    \b(?:for|to) (?:our |the |a |all )?(?:select(?:ed)?|chosen|lucky|few|new|first[- ]time|existing|returning
        |long[- ]?(?:standing|time)|loyal|top|best|favou?rite|valued few|preferred|active|past) (?:\w+ )?(?:customers?
        |shoppers?|buyers?|people|few|ones|clients|visitors|accounts?|guests?|members?)\b
    \b(?:new|first[- ]time|existing|returning|early|loyal|selected|top) (?:customers|buyers|shoppers|clients|users
        |visitors|accounts|members|birds?)\b|\b(?:students?|seniors?|teachers?|nurses|veterans|pensioners|military
        |employees?|staff|under-?\d+s|over-?\d+s) (?:only|discount|save|get|qualify|offer|price|id|with)\b
    \bfor (?:students|teachers|seniors|nurses|veterans|pensioners|staff|employees|residents|first[- ]timers
        |new parents|pet parents registered)\b|\b(?:first|initial|debut)[- ](?:order|purchase|time buyer)\w*
    \bonly (?:you|for you|yours)\b|\byou (?:alone|only)\b|\bnobody else\b|\bno ?one else\b|\bnot everyone\b
        |\bonly (?:a )?(?:few|handful|select)\b|\b(?:reserved|set aside|prepared|created|made|chosen|picked|selected
        |handpicked|hand-picked|tailored|designed) (?:\w+ )?(?:for you alone|just for you|only for you
        |especially for you)\b|\bselected you\b|\byou(?:'ve| have) been (?:chosen|selected|picked)
        |\byou(?:'re| are) (?:one of|among)\b
    \bexclusiv\w+(?! of|\))|\bprivate (?:sale|offer|price)|\bsecret\b(?= (?:sale|price|offer|deal|code|discount))
        |\bfriends and family\b|\bcodes (?:work|apply)\b|\binvit(?:e|ed|ation)[- ]only|\bby invitation|\binsider\b
        |\bbehind[- ]the[- ]scenes price|\bearly access\b
        |\bpre-?sale\b|\bpass holders?\b|\bcard ?holders? (?:only|get|with)\b
    \b(?:with|show|using|present|scan|flash) (?:the|your|our|a|an) (?:\w+ )?(?:app|card|membership|id|pass|loyalty
        |student)\b|\bin[- ](?:app|store) (?:only|purchase)\b|\b(?:birthday|anniversary) (?:month|week|treat|offer
        |discount)\b|\bon your birthday\b
""")
# What it does to body and mind.
EFFECT = any_of(r"""
    \b(?:boost|improv|enhanc|reliev|sooth|nourish|hydrat|moisturi[sz]|repair|strengthen|protect|prevent|fight|kill
        |balanc|detoxif|energi[sz]|revitali[sz]|rejuvenat|stimulat|restor|eas|sharpen|heal|cur|purif|condition|calm
        |whiten|regulat|tighten|plump|trim|burn|support|promot|aid)(?:s|es|ed|d|ing|e
        |en)?\s(?:your |the |dry |all |away |away at |tired |damaged |sensitive |healthy |better |against |frizzy\s
        |itchy |sore |good |deep(?:er)? |you\b|cholesterol|blood)
    \b(?:help|let|make|leave|keep)(?:s|ing)? (?:you(?:r)? |them |the |hair |skin )?(?:\w+ )?(?:sleep|focus|digest\w*
        |concentrat\w*|lose|grow\w*|recover|stronger|younger|healthy|healthier|slim\w*|shiny|shinier|strong|silky|gums
        |bones|joints|gut|immune|memory|posture|soft(?:er)?|smooth(?:er)?|longer|lower|reduce|prevent|fight)\b
    \b(?:lower|reduc|cut|drop)(?:s|es|ing|e)? (?:your |the |bad )?(?:cholesterol|blood|stress|anxiety|wrinkles?|fat
        |weight|inflamm\w*|sugar levels|risk|eye strain|fatigue|frizz|odou?rs?|noise)\b
    \b(?:sensitive|newborn|delicate|dry|baby|babies'|oily|mature|irritated|itchy|damaged|softer|smoother|glowing
        |clear(?:er)?|radiant|younger) (?:\w+ )?(?:skin|hair|scalps?|stomachs?|eyes|paws?|coat|bottoms?)\b|\b(?:gentle
        |kind|soft|easy|tough|safe|light|good|great) (?:enough )?(?:on|to|for|with) (?:little|small|tiny|your|the
        |sensitive|skin|hands?|eyes?|feet|paws?|babies|baby|kids|children|newborns?|hair|tummies|stomachs?|stains?
        |pets|bare)\b
    \b(?:plumper|firmer|fuller|glossier|bouncier|brighter|clearer|smoother|softer|younger|healthier|whiter|thicker
        |stronger|happier|calmer)
        \s(?:skin|cheeks?|hair|eyes|teeth|smile|complexion|lashes|nails|coat|legs|gums|pets?|cats?|dogs?|gut|joints)\b
    \b(?:immun\w+|cholesterol|blood (?:pressure|sugar)|digesti\w+|metabolism|hormon\w+|insulin|gut|heart[- ]health\w*
        |heart-healthy|slim(?:ming)?|weight (?:loss|management)|fat[- ]burning|calor\w+|detox\w*|superfood|healthy
        |health|healing|therapeutic|medicinal|clinically|dandruff|split ends|eye strain|eye-?care|blue light|posture
        |joint|bone|muscle|energy boost|mood[- ]boost\w*|stress[- ]?reliev\w*|sleep better|stay(?:s)? healthy
        |good for (?:you|your|the heart|the gut)|doctor-?\w*)\b
    \byour (?:\w+ )?(?:scalp|skin|hair|feet|back|ears?|gut|heart|joints?|knees|eyes|teeth|body|mind|muscles|lungs
        |hands|toes) (?:will|won't|can|stays?|feels?|gets?|thanks?)\b|\b(?:feel|see|taste|notice|hear
        |make)s? the difference\b
    \byou(?:'ll| will) (?:feel|look|sleep|see|notice|hear|never|wonder|love)\b|\bworks? (?:wonders|instantly|in|like
        |overnight)\b|\bresults\b|\beffective(?:ly)? (?:against|for|on)\b|\bsecret (?:to|of|behind)\b
""")
LEAK = any_of(r"""
    \byou (?:searched|viewed|looked|browsed|left|clicked|eyed|saved|added|abandoned|favou?rited|haven't|asked
        |considered|compared|weighed|bookmarked|checked|visited|stopped|ran out|used up|opened|hovered)\b
    (?<!thing )(?<!what )(?<!ever )(?<!one )(?<!when )(?<!if )\byou forgot\b
    \b(?:the|those|that|these) (?:one|ones|two|three|four|five|pair|pairs|\ue000+
        |\w+) (?:that |which )?you (?!(?:need|want|like|love|find|found|pick|planned
        |promised|have)\b)\w+(?: \w+){0,3} (?:last (?:night|week|month|time|\w+day)|yesterday|earlier
        |the other (?:day|night)|this morning|on \w+day)\b
    \b(?:torn|dithering|wavering|hesitating|undecided) between\b
    \b(?:still|left|waiting|sitting) in (?:your|the) (?:cart|basket|bag)|\byour (?:last|previous|usual|past|abandoned
        |saved|favou?rite) (?:order|visit|search|cart|basket|brand|item|size|pair|bag of|box of|bottle of|one)\b
        |\bwe heard\b|\bquit your\b|\b(?:last|previous) (?:time|order|visit|month) you\b|\bsince (?:your|you (?!bought
        |ordered|purchased|have bought)|january|february|march|april|may)\b
    \bwe(?:'ve| have)? (?:noticed|saw|see you|remember|know|missed|spotted|recall)\b
        |\byou(?:'ve| have) (?:been (?:looking|eyeing|searching|browsing|viewing|thinking|comparing|away|ordering
        |buying)|looked|viewed|searched|had your eye)|\byou (?:always|usually|often|tend|keep|regularly) (?:buy|order
        |choose|pick|look|come|get|spend|browse|coming|looking)\b|\bjudging by\b|\bbased on\b|\blike (?:you
        |someone) (?:who|with)\b|\bbecause (?:you|of your)\b|\byour (?:browsing|history|income|age|neighbou?rhood
        |postcode|pregnancy|diagnosis|due date|salary|debts?)\b
""")
# What other people have, say and do; what the shop earns; what the customer is to send, show or pay.
OTHERS = any_of(r"""
    \b(?:neighbou?rs?|co-?workers?|colleagues?|friends?(?: of yours)?|boss|celebrit\w+|everyone|everybody|office
        |village|street|town|building|school|gym|team|child|husband|wife|kids?|mum|mom|dad|partner|manager|owner)
        \s(?:on (?:your|the|our) (?:street
        |block) |in the office |next door |of yours |herself |himself |at work |everywhere )?(?:already|have one
        |have theirs|has one|has|had|want|needs?|told|swears?|switched|says?|said|bought|buys?|got (?:one|theirs)
        |loves?|uses?|suggests?|went mad|is jealous|are jealous|can't)\b
    \b(?:nobody|no one) (?:who|else|regrets?)\b|\beveryone (?:who|loves?|wants|is talking|is buying|buys|needs|has)\b
        |\bpeople are\b|\blin(?:e|ing) up\b|\bqueu(?:e|ing) (?:up|around)\b|\bviral\b|\bi(?:'ve)? (?:tried|tested
        |used)\b|\bdr\. [a-z]+\b
    \b(?:invite|bring|tell|refer) (?:a|your|two|three) friends?\b|\b(?:buys|switched|suggests|went|wants|loves|uses
        |swears) (?:here|it|them|this|mad|over|by)\b|\bnot many\b|\bfrom the source\b|\bthis price (?:exists|only
        |is only|again)\b|\b(?:german|swiss|italian|japanese|french) (?:made|engineering|design|quality)\b
        |\bimpress\w*|\bcitywide\b|\bhalf an hour\b|\bwhit(?:er|ening) (?:teeth|smile)|\bonce, never\b
        |\byour (?:monthly|yearly|annual)\b|\byears (?:running|in a row|without|of)\b|\bdays to go\b
        |\bfriend of yours\b
    \b(?:make|made|making|lose|losing|earn|earning) (?:nothing|money|no (?:money|profit))\b|\bprofits?\b
        |\bbelow (?:our )?(?:own )?cost\b|\bour (?:own )?cost\b|\bthe boss\b|\bmarket leader|\bleader (?:in|of)\b
        |\bshop next door\b|\brock bottom\b|\bfactory\b|\bhonest price\b|\bwith confidence\b|\bsell (?:more|it|them)\b
        |\bsales have\b|\bnothing (?:comes close|compares|beats)\b|\boutlast\w*|\boutperform\w*|\bexists? only\b
        |\b\w{3,}est (?:in|of|on) (?:the|our|this|any)\b|\bfinal notice\b
    \b(?:satisf(?:y|ied|action)|assured|tested|testing|proven|passed)\b|\bbroken\? we|\bdamaged (?:goods|items)
        |\breplacements?\b|\b(?:we|we'll|is|are|get) replaced?\b|\bexchanges\b|\bswap (?:it|them) (?:with|if|for|any)
        |\bpay (?:after|on (?:delivery|receipt|arrival)|only (?:when|after)|later|if)\b|\bwe pay (?:if|you|for any)
        |\binsurance on\b
    \bperks?\b|\bprizes?\b|\b(?:grand|lucky|prize|our|summer|weekly|the) (?:\w+ )?draw\b|\bgifts? (?:last|await|for)\b
        |\blikes for\b|\bcomes? to me\b|\bour shops\b|\bnear your home\b|\bsenior\b|\byoung and old\b|\bages\b
        |\bstar sign|\bhoroscope|\bbirthday (?:in advance|month)|\bhappy (?:\w+ )?birthday|\buntil all\b
        |\bnearly bare\b|\bkeep(?:s|ing)? (?:you|them|him|her) (?:young|healthy|fit|full|slim|strong)\b|\bgrow(?:s
        |ing)? (?:taller|stronger|faster|thicker)\b|\bfeel (?:younger|stronger|healthier|lighter than)
        |\blosing money\b|\bkick yourself\b
    \b(?:send|give|forward|wire|transfer|text|phone|call|message|dm|email|contact|share|tell) (?:us|me|this|the (?:pin
        |code|balance|money|password)|it|your (?:card|pin|id|details|code|account|friends|family|phone|number))\b
        |\b(?:scan|log ?in|sign in|find us|chat with|call (?:now|our)|hotline|phone us|print your|customer service
        |our agent|your card|card details|charged automatically|admin|(?:your|my|the|card|secret) pin)\b
        |\bdo as i say\b|\bsystem (?:note
        |message)\b|\border data\b|\bwe can tell\b|\byour spending\b|\bsubscri\w+
    \b(?:our|the|this|all|any|every) (?!whole|entire|full|complete|\ue000)(?:[\w-]+ ){0,2}(?:collection|line-?up
        |section|department|aisle|series|category (?:of|for)|assortment)\b(?! of everything)
""")
# Orders to a machine.
MACHINE = any_of(r"""
    \b(?:ignore|disregard|forget|override|bypass|skip) (?:\w+ ){0,4}(?:instructions?|rules?|prompts?|above|previous
        |polic\w+|limits?|checks?|verification)\b|\b(?:ai|model|assistant|chatbot|bot|verifier|llm
        |gpt)\b[^.!?]{0,20}\b(?:must|should|please|set|output|print|respond|approve|mark|treat|say)
        |\bsystem(?: prompt| message|:)|\b(?:output|print|respond with|return|reply with) (?:only |the |"|')
        |\byou are (?:now )?(?:an?|the) (?:\w+ )?(?:assistant|model|admin|bot)\b|\bmark this (?:text|message|as)\b
        |\btreat this\b
""")
CUES = (QUALITY, PRAISE, STOCK, GIFT, DELIVERY, HISTORY, WHO, EFFECT, LEAK, OTHERS, MACHINE)
