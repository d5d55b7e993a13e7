"""Lists of words that are never true of an offer, or never fit to send, as one pattern each; both languages together.

Sources: the Advertising Law of the People's Republic of China (2015, revised 2021), article 9 (superlatives) and
article 28 (misleading claims); Directive 2005/29/EC, annex I (no. 7: false limits of time, no. 20: false 'free'); the
rest are facts that an offer of ours cannot contain. Not legal advice. In the patterns U+E000 stands for the offered
name, U+E003 for another category's, U+E004 for a date and U+E005 for a number already understood.
"""

import re

from promolift.message.reading.patterns import any_of

# Nobody can prove them; advertising law forbids them.
SUPERLATIVE = any_of(r"""
    国家级|世界级|宇宙级|神级|最高级|顶[级尖峰流]|极[致品佳]|至[尊上]|巅峰|第一(?!时间|次|步|件)|唯一|独家|独一无二
    首[选个家](?!单)|首屈一指|一流|冠军|王牌|领袖|领先|领导品牌|全网|全球|全城|全行业|业内|史上|史无前例|前所未有
    百年不遇|空前|绝后|绝对|绝无仅有|无敌|无与伦比|无可比拟|无人能及|万能|永久|百分百|保证|零风险|驰名|金牌|之[王最]
    特供|专供|免检|根治|疗效|神效|稳赚|革命性|(?:全国|全省|全市|全年)(?!\S{0,4}门店)
    最(?!高\s*(?:可|减|立减|优惠|抵|省|享|不超过|为|[:：]?\s*[\d¥$€£])|多\s*(?:可|减|立减|优惠|抵|省|享|为
        |[\d¥$€£])|少\s*(?:消费|满)|低\s*(?:消费|购买|订单)|近|终|晚|迟|后)
    (?<![A-Za-z])(?:NO|TOP)\.?\s?1(?!\d)|#\s?1\b|\bnumber[- ]one\b|\bbest\b(?! (?:regards|wishes|before))
    guarantee[sd]?\b|\blowest\b|\bcheapest\b|\bgreatest\b|\bbiggest\b|\blargest\b|\bfinest\b|\bhighest\b
    \bunbeatable\b|\bunmatched\b|\bunrivall?ed\b|\bunparallell?ed\b|\bincomparable\b|\bworld[- ]class\b
    \bfirst-class\b|\bultimate\b|\bpremier\b|\bsupreme\b|\bflawless\b|\bsecond to none\b|\blike no other\b
    \brecord[- ]low|\ball[- ]time\b|\b(?:nobody|no one|none) (?:beats?|can beat)|\bcan(?:'t|not) (?:be )?beat
    \bthan ever\b|\bever (?:made|seen|sold|offered)\b|\baward[- ]winning\b|\bonce[- ]in[- ]a[- ]lifetime\b
    \bnever again\b|\brisk[- ]free\b|\bmiracle\b
    (?<!at the )(?<!at )\bmost (?!of\b|you (?:can|could|will|may) (?:save|get))\w+
    \btop[- ](?:rated|quality|selling|notch|choice)\b|\bleading\b|\bthe only\b
    \bnever (?:been )?(?:cheaper|lower|better)\b|\b100 ?% (?:satisf|safe|natural|guar)\w*|\bworld'?s\b
    \b(?:in|of) the world\b|\bon earth\b|\bproven\b
""")
# Pressure without a date. The offer has a date: say it.
URGENCY = any_of(r"""
    限时|即将(?:结束|截止|到期|恢复)|马上(?:就|结束|截止|到期|没)|快要|临近|尾声|最后[二两三四五六七八九十几]
    (?<!\ue004)(?<!\ue004[为是])最后(?!(?:一天|日期|期限|使用日期?)?(?:是|为|[:：])?\s*\ue004)|倒计时|倒数|手慢
    先到先得|售完|售罄|卖光|卖完|断货|数量有限|库存|告急|限量|名额|秒杀|抢[购光完空手]|疯抢|[速开]抢|速来|赶[快紧]
    错过(?:不再|就|再|后悔)|别错过|过时不候|机不可失|机会难得|稍纵即逝|转瞬即逝|仅剩|只剩(?!\s*\ue004)|所剩
    剩余(?!\s*\ue004)|紧急|火速|火爆|近期有效|长期有效|随时(?:结束|截止|失效|恢复|可能|可用|有效)|欲购从速|从速|不日
    尽快|快没了|抓紧|来不及|晚了就|再不|不等人|时间不多
    (?:仅限?|只限?|只有|就|限|截止到?|截至|至|到)\s*(?:本周|这周|本月(?!末|底)|这个?月|周末|明[天日]|今[天日晚])
    (?:本周|这周|本月(?!末|底)|周末|明[天日])(?:内|前|末|日)?(?:截止|结束|有效|止|到期|恢复|为止|之前|前)|\bhurry\b
    \blimited[- ](?:time|period|offer|stock|quantit\w+|suppl\w+|edition|availability)|\bends? (?:very )?soon
    \bending (?:very )?soon|\bexpir\w+ (?:very )?soon
    \b(?:over|gone|finish\w*|clos(?:es|ing)|order) (?:very |pretty )?soon\b|\bsoon (?:over|gone|ends?|expires?)
    \blast (?:chance|call|day(?![^.!?\ue004]{0,25}\ue004)|few|minute|hours?)\b
    \bfinal (?:hours?|days?(?![^.!?\ue004]{0,25}\ue004)|call|chance|minutes?)|\bact (?:now|fast|quick)
    while (?:\w+ )?(?:supplies|stocks?|they|it|quantities) lasts?|(?:running|runs) (?:out|low|short)
    \bonly \w+ left\b|\b(?:hours?|minutes?) left\b|selling (?:fast|out)|sell(?:s|ing)? out|going fast|in high demand
    (?:supplies|stocks?|quantit\w+|availability) (?:are|is) limited|won't (?:see|find|get)[^.!?]{0,20} again
    don't (?:wait|delay)|do not (?:wait|delay)|before (?:it's|it is|they're|they are) (?:gone|too late|over)
    clock is ticking|countdown|\burgent\w*\b|\brush\b|almost (?:gone|over)|nearly (?:gone|over)|won't last
    first come|flash sale|\b(?:one|1) day only|\bshort time\b|\bimmediately\b|until further notice|\bnow or never\b
    (?:周|星期|礼拜)[七八九十]
    (?:only|until|ends?|through|by|just|for|expires?) (?:\w+ )?(?:this (?:week|weekend|month)|tomorrow)\b
    \b(?:this (?:week|weekend|month)|tomorrow) only\b|\bquick(?:ly)?[!,]
    \b(?:by|until|through|before|till|on|this) (?:mon|tues|wednes|thurs|fri|satur|sun)day\b(?!,?\s*(?:the )?\ue004)
""")
# What is known or guessed about the customer.
LEAK = any_of(r"""
    浏览(?:过|了|记录|历史|的)|(?:[您你]|刚|最近|曾经?)(?:才|刚|最近|在\S{0,6})?浏览|查看[过了]|看[过了中](?!来)
    搜索?[过了]|点击[过了]|关注[过了]|收藏(?:过|了|的|夹)|加购|加入了购物车|[您你][^，。！]{0,10}购物车
    购物车(?:里|中|内)|根据[您你]|鉴于[您你]|考虑到[您你]|得知[您你]|知道[您你]|听说[您你]|猜[您你]
    (?:我们|系统|数据)(?:发现|注意到|知道|了解|检测|看到|记得|推测|判断|分析|显示|得知)|监测|追踪|画像
    (?:用户|客户|您的)标签|[怀备]?孕|宝宝|宝妈|[准手]妈妈|老年人|单身|离异|已婚|未婚|\d+岁|岁的|年龄|年纪|岁数|收入
    薪|职业
    作为(?:一[名位])?\S{0,6}(?:女性|男性|女士|先生|学生|医生|教师|老师|工程师|妈妈|爸爸|母亲|父亲|司机|护士
        |白领|老人|用户|客户)
    价格敏感|对价格|敏感型
    [您你](?:家|的)(?:性别|病|体重|健康|孩子|小孩|宝贝|老人|习惯|偏好|喜好|消费记录|购买记录|历史|资料|档案|需求)
    消费(?:水平|能力|习惯)|患者|疾病|流失|好久不见|很久没|许久未|没来|经常购买|常买|爱买|偏爱
    [您你](?:平时|经常|常常|总是|一直)|退[掉货款回]
    \b(?:you|you've|you have|you were|you recently|you just)\s+(?:recently |just |also |have |been )*(?:view
        |brows|search|look|click|visit|abandon|wishlist|saw|seen|check|star)\w*
    \b(?:because|since|as) you\b(?! (?:bought|purchased|ordered|just))|\bbased on (?:your|what)
    \b(?:according to|judging by|given|knowing|considering) (?:your|what)|because of your
    \bwe(?:'ve| have)? (?:noticed?|saw|seen|know|remember|detected|learned|been (?:watching|tracking|following))\b
    \bwe (?:see|think|believe|guess)(?: that)? you\b|\b(?:watching|tracking|monitoring) (?:you|what)
    your (?:\w+ )?(?:browsing|search|viewing|purchase|shopping|order|spending) (?:history|habits?|behaviou?r
        |pattern|activity|record)s?
    \byour (?:age|income|salary|occupation|job|gender|sex|health|weight|condition|pregnancy|children|kids
        |baby|husband|wife|household|wish ?list|profile|data|interests?|preferences?|lifestyle|situation
        |favou?rites?)\b
    \b(?:people|customers|shoppers|families|women|men) like you\b
    \b(?:women|men|people|customers) (?:over|under|aged)\b
    \b(?:left|still|waiting|forgot\w*)\b[^.!?]{0,24}\bin your (?:cart|basket)\b|\byour abandoned\b|\babandoned\b
    \breturned\b|\brefunded\b|pregnan|\bexpecting\b(?! (?:guests|visitors|company))
    \bas an? (?:\w+ )?(?:mother|father|mom|mum|dad|parent|woman|man|student|teacher|doctor|nurse|engineer
        |senior|customer who|shopper who|driver|lawyer|manager|retiree)
    \bdoctor|\bphysician|diagnos|医生|医嘱|确诊
    price[- ]sensitive|at your age|years? old|\baged?\b \d+|\b(?:low|high)(?:er)?[- ]income|\bdivorced\b
    \bsingle (?:mother|mom|parent)|diabet|\bmiss(?:ed)? you\b|haven't (?:seen|visited|shopped|been)
    it's been a while|\bchurn|segment|bargain[- ]hunter
    \byou (?:often|usually|always|regularly|frequently|prefer|tend to)\b
    \b(?:products?|items?|things|what|ones?|because|since) you (?:love|like)\b|\b\ue000+ you (?:love|like)\b
""")
# Benefits that are not the offer.
OTHER_BENEFIT = any_of(r"""
    [另再还加附]赠|赠[品礼]|赠.{1,2}礼|满[^，。！]{1,12}[送返赠得]\s*[\d¥$€£零一二三四五六七八九十百千]
    买\s*[一二两三1-9]\s*[送赠]|赠送(?![您你]|一?[张份])|返现|返券|返利|返还|积分|抽奖|中奖|换购|加价购|免息|分期
    现金奖励|好礼|大礼|礼包|礼品卡|折上折|叠加|翻倍|双倍|送(?=\s*\ue000|\s*\ue003)|\bcash ?back\b
    \b(?:reward|bonus|double|extra) points?\b|\bpoints\b|sweepstake|\bprizes?\b|\bwin\b|\brefund
    \bbuy (?:one|1|two|2)\b(?!,?\d)|\b(?:store|account|shop) credit\b
    \bcredit back\b|\bbogo\b|\b(?:2|two)[- ]for[- ](?:1|one)\b|\bfree gift|\bgift cards?\b
    \bgift with\b|\bbonus\b|(?<!-)(?<!feel )\bfree\b(?! of charge)|\bcomplimentary\b|\bon the house\b|\bdouble\b
    \btriple\b|\bstack(?:s|able|ed)?\b|\bon top of\b|\binterest[- ]free\b|\braffle\b
""")
# Conditions that the offer does not have.
CONDITION = any_of(r"""
    第\s*[二三四五2-5]\s*[件个份]|[满买任]选?\s*[二两三四五六七八九2-9]\s*[件个份样笔]|[两三四五六七八九]件|[二两三四五六七八九]张
    [两二三四五六七八九]次|每满|每买|首单|首次|新[用客]|新会员|会员(?:专享|价|独享|可)
    仅限(?:会员|新|线上|线下|门店|网上|app)|限[购用]|每人限|不[可能](?:与|和)|不(?:同享|叠加)|需(?:凭|出示|使用券码)
    工作日|\bnew (?:customers?|members?|users?|shoppers?)\b|\bmembers? only\b|\b(?:for|to) members\b
    \bfirst\b[^.!?]{0,14}\b(?:order|purchase|time|visit)\b|\bsecond (?:item|one|unit|pack|order)\b
    \b2nd (?:item|one|unit|pack)\b|\b(?:buy|any|purchase) (?:two|three|four|2|3|4)\b|\btwo or more\b
    \bevery (?:second|other|third)\b|\b(?:twice|three times)\b|\bfor every\b|\bevery [$€£¥]
    \bper (?:item|customer|person|household|visit)\b|\bper [$€£¥]|\beach [$€£¥]|\b(?:in[- ]store|online|app) only\b
    \bonly (?:in the app|online|in store)\b|\bin the app only\b|\bcannot be combined\b|\bweekdays?\b
    \b(?:each|every) (?:week|month|time|visit)\b|\bper (?:week|month|day)\b|\bweekly\b|\bmonthly\b
    \blimit (?:one|1|two|2)\b
""")
# Words that take the offer back.
NEGATED = any_of(r"""
    (?:不(?:再)?|无法|没有|未能?|别|非|未)(?:可|能|会)?(?:享|打|参与|参加|适用|支持|享有|优惠|立减|减|包邮|免|买|购)
    除外|除了|不含|不包括|除\s*\ue000|暂停|取消|无优惠|不可用|\bexcept|\bexclud|\bother than\b
    \bnot (?:valid (?!after|beyond|past)|applicable|available|included|eligible|apply|on|off|for)\b
    \b(?:does|do|is|are|was|will|can)(?:n't| not) (?:apply|include|valid|eligible|available|discounted|on
        |get|be|enjoy|cover|save|have|take|receive)
    \bcannot\b(?! wait)|\bno discount|\bno longer\b(?! \w+ (?:after|beyond|past) )
    \bnot (?:even |quite |exactly |a |an )*(?:[$€£¥]?\d|\ue000|half|quarter|fifth|third)|\bcancell?ed\b
    \bwithdrawn\b|\bnever\b|\bneither\b|\bwithout (?:the |a |any )?(?:discount|reduction|offer|savings?)\b
""")
# A part only, where the offer covers the whole.
RESTRICTED = any_of(r"""
    部分|指定|几乎全|大多数|特定|个别|某些|\b(?:almost|nearly|practically) (?:everything|anything|all)\b
    \bmost (?:of our|items|products)\b|\bselected\b|\bcertain (?:items|products|\ue000)|\b(?:on|off) select\b
    \bparticipating\b|\bsome (?:items|products|\ue000)|\bspecific\b
""")
# The whole shop, where the offer covers a part.
EVERYTHING = any_of(r"""
    全场|全店|全部商品|所有商品|任意商品|任何商品|整单|全单|全品类|\b(?:store|site|shop)-?wide\b
    \b(?:off|on|for|of)\s+(?:absolutely |almost |nearly )?(?:everything|anything)\b
    \beverything (?:is|in (?:the )?(?:store|shop)|at|we|ships?|comes?)\b|\b(?:anything|everything|all) else\b
    \bentire (?:store|shop|order|purchase|basket|range|range of products)\b
    \b(?:whole|full) (?:store|shop|order|purchase|basket)\b
    \ball (?:our )?(?:products|items|goods|orders|purchases|categories)(?! (?:in|of|from|within))\b
    \bany (?:product|purchase|order)\b(?! of)
    (?:%|\bper ?cent|\bshipping|\bdelivery) (?:off|on) your (?:next )?(?:order|purchase|basket|cart|shop|bill)\b(?! of)
""")
NO_MINIMUM = any_of(r"""
    无门槛|不限金额|任意金额|不设门槛|\bno (?:minimum|min\b)|\bwithout (?:a )?minimum|\bany amount|\bno spend
""")
NO_LIMIT = any_of(r"""
    不封顶|不设上限|没有上限|无上限|\bunlimited\b|\buncapped\b|\bno (?:cap|limit|maximum)\b
    \bwithout (?:a )?(?:cap|limit)
""")
VAGUE = any_of(r"""
    低至|高达|多达|\bas (?:little|low) as\b
""")
MARKUP = re.compile(r"</?[A-Za-z!][^>]*>?|\*\*|__|`|\]\(|\bjavascript:|^#{1,6}\s|</|/>|<!--|\|\|", re.I | re.M)
LINK = any_of(r"""
    (?<![A-Za-z])(?:https?|ftp|file|data|mailto|tel|weixin|sms):\S*|//\S+|(?<![A-Za-z])www\.\S+|[\w.+-]+@[\w-]+\.\w+
    (?<![a-z0-9])[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|cn|net|org|io|co|uk|de|fr|ru|xyz|top|info|biz|shop
        |store|link|me|app|ly|cc|tk|site|online|vip|club|gov|edu|hk|tw|jp|us|eu|example)\b(?!\s?\d)(?:/\S*)?
""")
SLOT = re.compile(  # capitals matter: 'None' is a slot, 'none' a word
    r"\{[^{}]*\}?|\}|%\([a-z_]+\)s|%[sdf]\b|\$\{|\[\[|\]\]|\[[A-Za-z_ ]*\]|\bNone\b|\bNaN|\bnan\b|\bNaT\b|\bnull\b"
    r"|\bundefined\b|\bTBD\b|\bTODO\b|\bN/A\b|\bxx+\b|\bLorem\b|【\s*】|《\s*》|“\s*”|「\s*」|\"\s*\"|\(\s*\)|尊敬的\s*[，,：:！]"
    r"|亲爱的\s*[，,：:！]|\bDear\s*[,:]|\b(?:Hi|Hello|Hey)\s+[,:!]|\b[A-Z]{2,}_[A-Z_]+\b|\b[a-z]+_[a-z_]+\b|_{2,}|\binf\b"
    r"|<[A-Z_ ]+>|&\w+;|&#\d+;|(?:None|NaN|nan|NaT|null|undefined)(?=[折元%年月日件]|[\u4e00-\u9fff])"
)
# Given names that are no everyday English words: anyone so called, unless it is the recipient, is a stranger.
_GIVEN = """
    Aaron Abigail Adam Alan Albert Alex Alexander Alexis Alice Amanda Amy Andrea Andrew Angela Anna Anne Anthony
    Arthur Barbara Benjamin Betty Bob Bobby Brandon Brenda Brian Bruce Bryan Carl Catherine Charles Charlotte Cheryl
    Christina Christine Christopher Cynthia Daniel David Deborah Denise Dennis Diana Diane Donald Donna Dorothy
    Douglas Dylan Edward Elizabeth Ella Emily Emma Eric Ethan Eugene Evelyn Fiona Gabriel Gary George Gerald Gloria
    Gregory Hannah Harold Helen Henry Isabella Jacob Jacqueline James Jane Janet Janice Jason Jeffrey Jennifer
    Jeremy Jerry Jesse Jessica Joan Joe John Jonathan Jordan Jose Joseph Joshua Joyce Juan Judith Judy Julia Julie
    Justin Karen Katherine Kathleen Kathryn Kayla Keith Kelly Kenneth Kevin Kimberly Kyle Larry Laura Lauren
    Lawrence Liam Linda Lisa Logan Louis Lucy Luke Margaret Maria Marie Marilyn Martha Martin Mary Matthew Megan
    Melissa Mia Michael Michelle Mohammed Nancy Natalie Nathan Nicholas Nicole Noah Nora Oliver Olivia Oscar Pamela
    Patricia Patrick Paul Peter Philip Rachel Ralph Raymond Rebecca Richard Robert Roger Ronald Roy Russell Ruth
    Ryan Samantha Samuel Sandra Sara Sarah Scott Sean Sharon Shirley Simon Sophia Sophie Stephanie Stephen Steve
    Steven Susan Teresa Terry Theresa Thomas Tim Timothy Tom Tyler Vincent Walter Wayne William Zachary Zoe
"""
GIVEN_NAMES = re.compile(rf"\b(?:{'|'.join(_GIVEN.split())})\b(?!'s Day)")
