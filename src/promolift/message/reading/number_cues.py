"""Lists of words that tell the role of a number from its neighbours, in both languages.

BEFORE lists end where the number begins, AFTER lists begin where it ends, both within one sentence.
"""

import re

from promolift.message.names import any_of

# --- sums of money ------------------------------------------------------------------------------------------------

CAP_BEFORE_ZH = any_of(
    "最高|最多|至多|上限|(?<!不)封顶|不超过|(?<!无)限|止步于|到顶|顶多|撑死|天花板",
    tail=r"(?:可以|能|[帮为给让替][您你]|可|为|是|就?是?在|到|立?减|减免|优惠|便宜|直降|抵扣?|省|享|折扣|[:：]|\s)*$",
)
CAP_AFTER_ZH = any_of(
    "封顶|到顶|为顶|[就便]?[是为](?:最高|优惠|减免|折扣|本次|这次)?的?(?:上限|封顶|顶|极限|天花板|最高|最多)|为?上限|为限|的上限|止步|打住"
    "|就?(?:停|不再减)|(?:一分)?不能?再多",
    head=r"^\s*",
)
CAP_BEFORE_EN = any_of(
    r"""
    (?<!add )(?<!adds )(?<!come )(?<!comes )up to|as much as|at most|no more than|never more than|doesn't exceed
    (?:tops?|max(?:es)?) out at|stops at|no higher than|ceiling of|topping out at|goes up to
    max(?:imum)?\.?(?: discount| savings?)?(?: amount)?(?: of| is|:)?|capped at|cap(?: of|:)|to a maximum of
    (?:not|won't|never|cannot|can't|will not) (?:more than|(?:be )?(?:over|above|more than)|(?:to )?exceed(?:ing)?
        |go (?:over|above|beyond))
    (?:stop(?:s|ped|ping)?|maxing out|halt(?:s|ing)?|end(?:s|ing)?) at|(?:ceiling|limit|maximum|max|cap|roof
        |lid)(?: is|:| at| set at| stands at| of)
    (?:until|till|when|once) (?:the |your |that |this )?(?:reduction|discount|savings?|cut|drop|total off
        |markdown|deduction)s? (?:hits?|reach(?:es)?|gets? to|touch(?:es)?|is|comes? to|amounts? to)
    never (?:past|beyond|(?:gets?|goes|grows?) (?:bigger|larger|higher|over|past|beyond|above)(?: than)?)
    not a \w+ (?:more|over|above)(?: than)?
    no further than|no (?:larger|bigger|greater) than|not past|(?:it|that) stops at
    limit(?:ed to)?(?: of)?:?|most you (?:can|could|will|may) (?:save|get)(?: is)?
    """,
    head=r"\b",
    tail=r"\s*(?:an? )?$",
)
CAP_AFTER_EN = any_of(
    r"(?:off )?(?:max(?:imum)?\b(?! spend)|cap\b|at (?:the )?(?:very )?most|tops\b|being the (?:most|maximum)"
    r"|ceiling|limit\b"
    r"|(?:is|being|as) (?:the|our|its|your) (?:\w+ )?(?:ceiling|limit|cap|maximum|most|roof|top|lid)\b"
    r"|and (?:not a \w+ more|no (?:more|further)))",
    head=r"^\s*",
)
NEED_BEFORE_ZH = any_of(
    r"""
    (?:满|买够|凑够|凑|达到?|超过|超出|高于|大于|多于|不低于|不少于|不小于|至少|起码|消费|购物|花费?
        |(?<!无)(?<!没有)门槛|购买?|买
        |起购|(?:账单|消费|订单|总价|合计|加起来|购物车|单子|小票)[^，。！\d]{0,4}到了?
        |金额|总价|总额|订单|实付|需付?|仅需|只需|够|逾)(?:了|为|是|满|到|金额|[:：>≥\s])*
    [≥>]=?\s*
    """,
    tail="$",
)
NEED_AFTER_ZH = any_of(
    r"""
    的?(?:及|或|和|与)?以上|(?:及|或)更多|起(?!来)|的?门槛|立?减\s*[\d¥$€£]|的?订单|就|便|即|才|可|享|包邮|免
    """,
    head=r"^\s*(?:\(含\)\s*)?",
)
NEED_BEFORE_EN = any_of(
    r"""
    spend(?:ing|s)?|spent|orders?|purchases?|baskets?|carts?|bills?|receipts?|totals?|totall?ing|minimum|min\.?
    at least|over|above|exceed(?:s|ing)?|kicks? in|at
    reach(?:es|ed|ing)?|more than|from|worth|buy(?:ing)?|hits?|threshold
    (?:adds?|comes?) up to|starting at|not less than|no less than|upwards of|off|of|on|:
    """,
    head=r"\b",
    tail=r"\s*(?:(?:just|only|is|for|of|at|a|an|your|the|on|least|over|above|spend|purchase|order|comes? to|amount"
    r"|total|value|or|more|:|reaches|sum)\s*)*$",
)
NEED_AFTER_EN = any_of(
    r"""
    or (?:more|above|over|higher|greater)|\+|and (?:up|above|over|more)|minimum|min\b|spend|orders?\b|purchases?\b
    baskets?\b|carts?\b|worth|bills?\b|total|upwards|gets? you|earns|buys|unlocks
    is (?:all you|the minimum|needed|required)
    """,
    head=r"^[\s-]*",
)
BELOW_BEFORE = any_of(
    r"""
    (?:不满|未满|(?<!不)(?:低于|少于|小于)|不到|不足)(?:了|为|[:：]|\s)*
    (?<!no )(?<!not )\b(?:less than|under|below|fewer than) (?:an? )?
    """,
    tail="$",
)
BELOW_AFTER = any_of(r"(?:及|或)?(?:以下|以内|之内)|or (?:less|under|below)\b", head=r"^\s*")
CUT_BEFORE_ZH = any_of(
    r"""
    (?:立减|直减|减免|减去|减掉|即减|再减|(?<!满)减|立省|省下|省去|节省|省|抵扣|抵用|抵|优惠|便宜|直降|立降|降|少付
        |扣减|扣除
        |扣|让利|减价|券|红包|[替帮为][您你]付)(?:了|为|金额|额|掉|您|你|[:：]|\s)*
    少花\s*|满\s*[¥$€£]?[\d,.]+\s*元?\s*-\s*
    """,
    tail="$",
)
CUT_AFTER_ZH = any_of(
    "优惠|折扣|减免|立减|抵用|抵扣|代金券|优惠券|红包|券|现金券|直减|满减|让利|减价",
    head=r"^\s*(?:的|无门槛|满减|现金)*\s*",
)
CUT_BEFORE_EN = any_of(
    r"""
    sav(?:e|es|ing|ings of)|discount(?: is| of|:)?|deduct(?:s|ed)?|deduction of|knock(?:s|ed)?(?: off)?|takes?(?: off)?
    taking(?: off)?|subtract(?:s|ed)?|minus|slash(?:es)?|drops? by|reduction of|reduced by|get|pocket|keep|cuts?
    lowered by|off by|enjoy|benefit:|savings:?|off:|(?:you |to )?(?:save|saving|discount|reduction|deduct|minus
        |benefit|reward):
    lo(?:se|ses|sing)|sheds?|shav(?:e|es|ing)|trims?|drops?(?= )
    """,
    head=r"\b",
    tail=r"\s+(?:you |an? |extra |the |a full |of |by |exactly )*$",
)
CUT_AFTER_EN = any_of(
    r"""
    off\b|discount|less\b|lower\b|smaller\b|savings?\b|reduction|(?:\ue000+ )?(?:voucher|coupon)|rebate|cheaper
    price (?:cut|drop)|is (?:taken|knocked) off|(?:disappear|vanish)(?:s|es)?\b|for you\b
    from (?:the|your) (?:total|bill|price)|back\b|(?:will )?(?:drop|fall|slip|slide|melt|go|come|fly)(?:s
        |es)? (?:away|off)\b
    (?:of (?:them|those|it) )(?:back|off)\b
    (?:will )?(?:comes?|be (?:taken|deducted)|is deducted) (?:off|from)?
    """,
    head=r"^[\s-]*",
)
PRICE_BEFORE_ZH = any_of(
    "到手价?|(?<![少实需您你])付|支付|售价|原价|现价|价格|仅售|特价|只卖|秒杀价?|低至|价值|市价",
    tail=r"(?:为|是|仅|[:：]|\s)*$",
)
PRICE_BEFORE_EN = any_of(
    r"only|just|for|pay|pays|price(?: is| of|:)?|costs?|now|was|priced at|at|rrp|worth up to|valued at",
    head=r"\b",
    tail=r"\s*(?:only |just )?$",
)
SHIPPING_BEFORE = any_of(
    "运费|邮费|配送费|(?:shipping|delivery|postage)(?: fees?| costs?)?",
    tail=r"(?: is|:| for| costs?|为|仅|低至|只要|\s)*$",
)
SHIPPING_AFTER = any_of(
    "(?:(?:for|in|on) )?(?:the )?(?:shipping|delivery|postage)|运费|邮费|配送|快递|送货", head=r"^[\s-]*的?"
)
EXACT_BEFORE = any_of(
    r"大?约|将近|近|差不多|\babout|\baround|\bnearly|\broughly|\balmost|\bapprox\w*\.?", tail=r"\s*[¥$€£]?\s*$"
)
LEAST_BEFORE = any_of(
    r"至少|不少于|不止|(?<!不)超过|\bat least|\bno less than|(?<!no )(?<!not )(?<!never )(?<!yuan )"
    r"(?<!cent )(?<!penny )\bmore than|\bover|\bfrom",
    tail=r"\s*(?:[减省优惠]*|an? )\s*[¥$€£]?\s*$",
)
EXACT_AFTER = any_of(r"起(?!来)|左右|上下|or so|ish\b|or more|and up|\+", head=r"^\s*(?:off\s+)?")
NO_SUM_AFTER = any_of(
    r"%|折|percent|per cent|成|\ue000|[件个份次位倍款种样本瓶盒袋杯斤箱双条包桶人名]|支(?!付)|只(?![需要用收付花])"
    r"|[a-zA-Z]*\d"
    r"|(?:or more )?(?:items?|pieces?|units?|packs?|products?|copies|bottles?|boxes|bags?|cups?|cans?|jars?|rolls?"
    r"|pairs?|sets?)\b|per order",
    head=r"^\s*\+?\s*",
)

# --- free shipping ------------------------------------------------------------------------------------------------

FAST = any_of(
    r"\bovernight|express|same-day|next-day|priority|two-day|international|worldwide|[次当隔]日达|顺丰|极速|加急|全球"
)
FREE_SHIPPING = any_of(r"""
    免费[^，。！\d]{0,6}送(?:到|货|上门|至)
    包邮|免邮费?|免费(?:配送|送货|包?邮|快递|寄送|送到家|运输|送货上门)
    (?:免(?:除|收|掉|去)?|包|零|不(?:收|另收|用付|需要?付|用出|必付)(?:任何|您)?)(?:运|邮|配送|快递|邮寄|送货)费
    (?:寄送|配送|派送|送货(?:上门)?|运送|快递|邮寄)(?:[均都]|全部|一律)?(?:免费|不收费|不收钱|不要钱)
    (?:运|邮|配送|快递)费(?:[为是归]零|一[分毛]不收|由(?![您你买客顾收])[^，。！]{1,4}(?:承担|支付|出|付|买单))
    (?:运|邮|配送)费(?:全免|免单|免除|全额减免|减免|由我们承担|我们(?:来)?出)
    (?:我们|本店|商家|替您|为您|帮您|替你|帮你)[^，。\d]{0,4}(?:付|出|承担|掏)了?(?:运|邮|配送|快递)费
    (?:运|邮|配送|快递)费[^，。！\d]{0,4}(?:免|(?:我们|本店|商家)来?(?:出|付|承担|掏|包)|算我们|归我们|全包|包了
        |不用|我们出|我们付|我们承担|商家承担|由商家)
    \b(?:free|complimentary|gratis)\s+(?:\w+\s+)?(?:shipping|delivery|postage)\b
    \b(?:shipping|delivery|postage|ships?|shipped|deliver(?:s|ed)?)\b[^.!?\d]{0,40}
        \b(?:free|waived|gratis|complimentary|on us|covered|included|on the house|nothing
        |at no (?:extra |additional )?(?:cost|charge))\b
    \b(?:no(?: more)?|zero|without(?: any| a)?)\s+(?:shipping|delivery|postage)\s*(?:fees?|costs?|charges?)?\b
    \b(?:ship|deliver|send|bring|brought|sent)s?\b[^.!?\d]{0,60}?\b(?:for free|free of charge|at no (?:extra )?(?:cost
        |charge))
    \b(?:shipping|delivery|postage)(?: costs?| charges?)?(?: you)? (?:nothing|zero)\b
    \bno charge for (?:shipping|delivery)\b|\bskip the (?:shipping|delivery)\b
    \bfree of (?:shipping|delivery) (?:charges?|costs?|fees?)\b
    \b(?:waiv(?:e|ing)|pay(?:ing)? for|cover(?:ing)?|pick(?:ing)? up)\s+(?:the |your )?(?:shipping|delivery|postage)\b
    \bpay (?:no|nothing for) (?:shipping|delivery|postage)\b
    \b(?:shipping|delivery|postage)(?: fees?| costs?| charges?| bill| line)?\s*[:=-]+\s*(?:zero|nil|none|nothing
        |0(?![.\d])|zilch)
    \b(?:courier|carrier|postman|post office|driver|mailman)'?s? (?:bill|fee|fees|charges?|costs?
        |invoice)s? (?:is|are|isn't
        |aren't|goes|go|lands?)\s
        (?:not )?(?:your (?:problem|concern|business|worry|affair)|on us|ours|nothing|zero
        |none of your (?:business|concern)|to us
        |yours to pay|with us|on our desk)\b
    \b(?:shipping|delivery|postage)(?: fees?| costs?| charges?| bill)? (?:is|are|isn't
        |aren't) (?:not )?(?:your (?:problem
        |concern|business|worry)|on our (?:bill|tab))
    (?:运|邮|配送|快递)费(?:那|这)?(?:一?[栏项列格行])?(?:里|上)?[^，。！\d]{0,3}(?:写|填|记|显示|等于|=|是|为|归|[:：])\s*(?:着|的是|上|了|个)?\s*(?:零|0(?![.\d]))
    (?:运|邮|配送|快递)费[^，。！\d]{0,4}(?:清零|抹[掉去零]|划掉|一笔勾销|不归[您你]|不用[您你]管|别管|归店[里家]|不进来|没有了)
    \b(?:minus|less|forget|without|lose) the (?:shipping|delivery|postage)\b
    \b(?:travels?|fl(?:y|ies)|rides?|comes? to you|(?:get|head|go)s? (?:home
        |to you)) (?:home |to you |over )?(?:for )?free\b(?! of)
""")
# Shipping that is not wholly free.
PART_SHIPPING = any_of(r"""
    (?:运|邮|配送|快递)费(?!全)[^，。！]{0,8}?(?:一半|半价|减半|对半|各半|平摊|AA|打折|[一二三四五六七八九\d]折|[一二三四五六七八九]成
        |部分|分摊)
    (?:一半|半|部分|[一二三四五六七八九]成)的?(?:运|邮|配送|快递)费
    \b(?:half|part|some|most|a (?:third|quarter|fifth|share)
        |two thirds) (?:of )?(?:the |your |our |all )?(?:shipping|delivery|postage)
    \b(?:shipping|delivery|postage)(?: fees?| costs?| charges?)?(?: is| are|'s)? (?:half|split|shared|partly
        |halved|reduced|discounted
        |cheaper|subsidi[sz]ed)
    \b(?:split|share|halve|go halves on) (?:the |your )?(?:shipping|delivery|postage|courier)
""")
ZERO_SHIPPING = any_of(r"""
    \b(?:zero|no|0) (?:dollars?|euros?|pounds?|cents?|yuan) (?:for|in|on) (?:shipping|delivery|postage)
    (?:shipping|delivery|postage|运费|邮费|配送费)\D{0,12}(?<![\d.])0(?![\d.])
    [$€£¥]\s?0\s+(?:shipping|delivery)|(?<![\d.,])0\s*元?\s*(?:运费|邮费|配送|快递|送货)
    \bwe(?:\'ll| will)?\s+pay (?:for )?(?:the |your |all )?(?:shipping|delivery|postage)
""")

# --- parts of the price -------------------------------------------------------------------------------------------

HALF = any_of(r"""
    (?:价格?|直接|立)?[减砍降]一?半|一半的?(?:价钱?|价格|钱)|(?:省|少付|少花|便宜|[只仅]?[付要收需花])一半
    \b(?:pay(?:ing)?|saves?|saving)(?: just| only| exactly)? half\b|\bhalf (?:the|its|their) \w* ?price\b
    \bhalf(?:[- ]|\s+the\s+)price\b|\bhalf off\b|\b1/2 (?:price|off)\b|半价
    \bhalf the (?:usual|regular|normal) price\b|\bhalf (?:as much|(?:of )?what (?:you|it|they))\b(?! (?:work|time))
    \b(?:cut|slash|chop|drop|reduc|mark)\w*[^.!?]{0,30} (?:in|by) half\b
""")
FRACTION = any_of(r"""
    \b(?P<k>an?|one|two|three|four|five|six|seven|eight|nine)[\s-](?P<f>half|third|quarter|fifth|sixth|eighth|tenth
        |twentieth)s?\b(?!\s*(?:past|hour
        |to\b|of an? |the \w*(?:time|effort|work)|-?(?:empty|full|asleep|open|day|read|finished|eaten|awake|moon)\b))
    \b(?P<k1>[1-4])/(?P<g>[2-5])(?=\s+(?:off|of|less|the price))
    (?P<h>[二三四五六七八九十])分之(?P<k2>[一二三四五六七八九两])
""")
WHOLE = any_of(r"""
    全额减免|全免(?!运)|免单|免费(?!包?邮|送货|配送|送到|寄|快递|运|上门)|\bcompletely free\b|\bfree of charge\b
""")
PAYS_BEFORE = any_of(
    r"""
    \b(?:pay|paying|only|for|at|costs?)\s+(?:only |just )?
    (?<!少)付|支付|按|[仅只]收|仅需|只需|只要|现价为?|售价为?
        |(?<!少花)(?<!省下)(?:原(?![\ue000-\ue005，。])[^，。\d]{1,5}(?=的)|原价|标价|定价|售价|价格|正价|[平通]时
        |平[常日]|往常)的?
    """,
    tail=r"\s*$",
)
PAYS_AFTER = any_of(
    r"of (?:the |its |their |our )?(?:regular |usual |original |normal |list |full |marked |shelf )?prices?\b"
    r"|的?(?:价格|价钱?)|付款|支付|结[账算]|计价",
    head=r"^\s*",
)
PAYS_AFTER_CHENG = any_of("价|的?(?:价格|钱)|付款|支付|结[账算]|计价|收费", head=r"^\s*")
CUTS_AFTER = any_of(
    "off|discount|less|savings?|reduction|below|lower|under|cheaper|的?优惠|的?折扣|的?减免", head=r"^\s*"
)
SHED_BEFORE = any_of(
    r"minus|less|sheds?|shedding|los(?:es?|ing)|drop(?:s|ping)?|cut(?:s|ting)?|sav(?:es?|ing)|shav(?:es?|ing)"
    r"|knock(?:s|ing)?(?: off)?"
    r"|tak(?:es?|ing)(?: off)?|slic(?:es?|ing)(?: off)?|trim(?:s|ming)?|slash(?:es|ing)?|off|deduct(?:s|ing)?"
    r"|subtract(?:s|ing)?",
    head=r"\b",
    tail=r"\s+(?:by |just |a |an |off |exactly )*$",
)
CUTS = any_of(r"""
    \b(?:off|discount\w*|sav\w+|less|reduc\w*|cuts?|cheaper|lower\w*|mark\w*|rebate|take\w*|knock\w*|deduct\w*|minus
        |below|sale|deal|down|drop\w*|shed\w*|lose|loses|lighter|pay\w*|price\w*|under)\b
    -\s?\d|优惠|减|省|降|折扣|便宜|让利|付|价|低|收
""")
GIVES = re.compile(
    CUTS.pattern
    + r"|\bon us\b|\bback\b|\byour pocket\b|\bwaiting\b|\byours\b|\blos(?:e|es|ing)\b|\bshed\w*|[抵券送还让少]"
    r"|红包|我们出",
    re.IGNORECASE,
)
OTHER_GOOD_AFTER = any_of(
    r"""
    more\b|extra\b(?! off)|bonus|cash ?back|back\b|in points|points|interest|commission|higher|dearer|increase
    surcharge|fee\b|返|积分|加价|涨|利息|红利
    """,
    head=r"^\s*",
)
DEARER_BEFORE = any_of(r"涨价?|加价|上调|提价|提高|\b(?:raised?|increased?|up) (?:by )?", tail=r"\s*$")
ABOUT_BEFORE = any_of(
    r"""
    \bup to|\bas much as|\bat least|\bbetter than|不止|不仅仅?是?|(?<!benefit )(?<!profit )\bfrom
    \bmax(?:imum)?\.?(?: of)?|\bmore than|\bover
    \babout|\baround|\bnearly|最高|最多|低至|多达|至少|约|近|超过?|高达|不低于
    """,
    tail=r"\s*(?:an? |可?享?受?|打|优惠|立减)*$",
)
ABOUT_AFTER = any_of(r"or more|and more|and up|\+|扣?起(?!来)|以上|左右|以内", head=r"^\s*(?:off\s+)?")
